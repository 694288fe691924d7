//! What can go wrong with a Git server, as its client sees it?

use std::ops::Range;

/// A fault that applies to every request from when it is set until another is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None: the server works.
    #[default]
    Healthy,
    /// 503 with a line of text.
    Refuse,
    /// 429 with `Retry-After: 1`.
    TooManyRequests,
    /// 401, whatever the credentials.
    Unauthorized,
    /// The request is read and never answered.
    Hang,
    /// The connection closes in the middle of the pack; answers without a pack are whole.
    CutPack,
    /// The pack has a wrong byte in its middle.
    CorruptPack,
    /// 200 with a page of HTML, as a captive portal would answer.
    WrongContent,
}

/// Where the pack lies in an answer of upload-pack, if one is there.
pub(super) fn pack(answer: &[u8]) -> Option<Range<usize>> {
    // The signature and the version (2) that begin every pack.
    let start = answer.windows(8).position(|window| window == b"PACK\0\0\0\x02")?;
    Some(start..answer.len())
}

/// How much of the answer is sent before the connection closes; `None` for all of it.
pub(super) fn cut(answer: &[u8]) -> Option<usize> {
    pack(answer).map(|pack| pack.start + pack.len() / 2)
}

/// Turns a byte in the middle of the pack over.
pub(super) fn corrupt(answer: &mut [u8]) {
    if let Some(pack) = pack(answer) {
        answer[pack.start + pack.len() / 2] ^= 0xff;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pack_of_an_answer_is_hurt() {
        let mut answer = b"000dpackfile\n0030\x01PACK\0\0\0\x02................0000".to_vec();
        let whole = answer.clone();
        assert_eq!(pack(&answer), Some(18..answer.len()));
        assert_eq!(cut(&answer), Some(18 + (answer.len() - 18) / 2));
        corrupt(&mut answer);
        assert_eq!(answer.iter().zip(&whole).filter(|(one, other)| one != other).count(), 1);
        assert_eq!(cut(b"0014acknowledgments\n0000"), None);
    }
}
