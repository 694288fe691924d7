//! Where does one watch event end and the next begin?
use http_body_util::BodyExt;
use kube::client::Body;

use super::ApiError;

/// Longest event read, in bytes. Objects are below 3 MiB even with `managedFields`.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The lines of an answer that never ends.
pub(crate) struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Lines { body, buffer: Vec::new(), searched: 0 }
    }

    /// The next line without its end; `None` when the server has closed the answer. Safe to drop while
    /// it waits: no byte is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            if let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + found + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                line.pop();
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(ApiError::Malformed("A watch event is larger than 8 MiB.".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ApiError::Unreachable(error.to_string())),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.buffer.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_at_line_ends_and_a_half_line_is_dropped() {
        let mut lines = Lines::new(Body::from(b"one\ntwo\n\nthr".to_vec()));
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(read, ["one", "two", ""]);
    }
}
