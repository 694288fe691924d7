//! What can go wrong with a Git server, as its client sees it?

use std::ops::Range;

/// A fault that applies to every request from when it is set until another is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The answer stops in the middle of the pack, and the connection stays open.
    StallPack,
    /// Instead of the pack come progress messages without end, each valid by itself.
    EndlessProgress,
    /// 302 to the same path below this address, such as `http://127.0.0.2:8080`.
    Redirect(String),
    /// 200 with a page of HTML, as a captive portal would answer.
    WrongContent,
}

/// Where the pack lies in an answer of upload-pack, if one is there.
pub(super) fn pack(answer: &[u8]) -> Option<Range<usize>> {
    // The signature and the version (2) that begin every pack.
    let start = answer.windows(8).position(|window| window == b"PACK\0\0\0\x02")?;
    Some(start..answer.len())
}

/// What follows the part of an answer that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// The connection closes.
    Broken,
    /// Nothing, for ever.
    Silence,
    /// Progress messages, for ever.
    Progress,
}

/// One progress message: a packet of 1,004 bytes for side band 2.
pub(super) fn progress() -> Vec<u8> {
    [b"03ec\x02", [b'.'; 998].as_slice(), b"\n"].concat()
}

/// How much of an answer is sent under this fault, and what follows; `None` for all of it and no more.
pub(super) fn split(fault: &Fault, answer: &[u8]) -> Option<(usize, Tail)> {
    let pack = pack(answer)?;
    let middle = pack.start + pack.len() / 2;
    match fault {
        Fault::CutPack => Some((middle, Tail::Broken)),
        Fault::StallPack => Some((middle, Tail::Silence)),
        // A packet begins with its length (four digits) and its band (one byte).
        Fault::EndlessProgress => Some((pack.start.saturating_sub(5), Tail::Progress)),
        _ => None,
    }
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
        let middle = 18 + (answer.len() - 18) / 2;
        assert_eq!(split(&Fault::CutPack, &answer), Some((middle, Tail::Broken)));
        assert_eq!(split(&Fault::EndlessProgress, &answer), Some((13, Tail::Progress)));
        assert_eq!(split(&Fault::Healthy, &answer), None);
        corrupt(&mut answer);
        assert_eq!(answer.iter().zip(&whole).filter(|(one, other)| one != other).count(), 1);
        assert_eq!(split(&Fault::CutPack, b"0014acknowledgments\n0000"), None);
        assert_eq!(progress().len(), 0x3ec);
    }
}
