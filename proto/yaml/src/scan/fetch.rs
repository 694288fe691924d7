//! Which token begins here?

use super::{Kind, PossibleKey, Scanner, column};
use crate::Error;

impl Scanner<'_> {
    /// Scans the next token, with the ends of the blocks before it.
    pub(super) fn fetch(&mut self) -> Result<(), Error> {
        self.skip_to_token();
        self.close_blocks(column(self.cursor.position()));
        if self.cursor.is_end() {
            return self.fetch_end();
        }
        let next_is_space = self.cursor.is_space_at(1);
        let in_flow = self.flow_level > 0;
        match self.cursor.here() {
            b'%' if self.cursor.position().column == 0 => self.fetch_directive(),
            b'-' if self.cursor.is_document_indicator(b'-') => self.fetch_indicator(Kind::DocumentStart),
            b'.' if self.cursor.is_document_indicator(b'.') => self.fetch_indicator(Kind::DocumentEnd),
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if next_is_space => self.fetch_block_entry(),
            b'?' if in_flow || next_is_space => self.fetch_key(),
            b':' if in_flow || next_is_space => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(),
            b'!' => self.fetch_tag(),
            b'|' | b'>' if !in_flow => self.fetch_block_scalar(),
            b'\'' | b'"' => self.fetch_quoted(),
            b'\t' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                self.fail("found a character that cannot begin a value; put the value in quotes")
            }
            _ => self.fetch_plain(),
        }
    }

    /// Steps over blanks, comments and line breaks. Tabs count as blanks only where no key can
    /// begin, so that they cannot indent.
    fn skip_to_token(&mut self) {
        loop {
            if self.cursor.is_byte_order_mark() {
                self.cursor.skip();
            }
            while self.cursor.here() == b' '
                || (self.cursor.here() == b'\t' && (self.flow_level > 0 || !self.key_allowed))
            {
                self.cursor.skip();
            }
            self.cursor.skip_comment();
            if !self.cursor.is_break() {
                return;
            }
            self.cursor.skip_break();
            if self.flow_level == 0 {
                self.key_allowed = true;
            }
        }
    }

    fn fetch_end(&mut self) -> Result<(), Error> {
        self.close_blocks(-1);
        self.drop_possible_key()?;
        self.key_allowed = false;
        self.ended = true;
        self.push(self.cursor.position(), Kind::StreamEnd);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<(), Error> {
        self.close_blocks(-1);
        self.drop_possible_key()?;
        self.key_allowed = false;
        let at = self.cursor.position();
        let kind = self.scan_directive()?;
        self.push(at, kind);
        Ok(())
    }

    fn fetch_indicator(&mut self, kind: Kind) -> Result<(), Error> {
        self.close_blocks(-1);
        self.drop_possible_key()?;
        self.key_allowed = false;
        self.push(self.cursor.position(), kind);
        self.cursor.skip_many(3);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Result<(), Error> {
        self.save_possible_key()?;
        let at = self.cursor.position();
        let token_number = self.next_number();
        self.possible_keys.push(PossibleKey { possible: false, required: false, token_number, at });
        self.flow_level += 1;
        self.key_allowed = true;
        self.push_char(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Result<(), Error> {
        self.drop_possible_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.possible_keys.pop();
        }
        self.key_allowed = false;
        self.push_char(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<(), Error> {
        self.drop_possible_key()?;
        self.key_allowed = true;
        self.push_char(Kind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), Error> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fail("a list item (- ) cannot stand here; begin it on a new line");
            }
            self.open_block(self.cursor.position(), None, Kind::BlockSequenceStart);
        }
        self.drop_possible_key()?;
        self.key_allowed = true;
        self.push_char(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), Error> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fail("a key (? ) cannot stand here; begin it on a new line");
            }
            self.open_block(self.cursor.position(), None, Kind::BlockMappingStart);
        }
        self.drop_possible_key()?;
        self.key_allowed = self.flow_level == 0;
        self.push_char(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), Error> {
        let level = self.possible_keys.len() - 1;
        if self.is_still_possible(level)? {
            let key = self.possible_keys[level];
            self.insert(key.token_number, key.at, Kind::Key);
            self.open_block(key.at, Some(key.token_number), Kind::BlockMappingStart);
            self.possible_keys[level].possible = false;
            self.key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.key_allowed {
                    return self.fail(
                        "a second colon and value cannot stand here; is the value missing its quotes?",
                    );
                }
                self.open_block(self.cursor.position(), None, Kind::BlockMappingStart);
            }
            self.key_allowed = self.flow_level == 0;
        }
        self.push_char(Kind::Value);
        Ok(())
    }

    fn fetch_anchor(&mut self) -> Result<(), Error> {
        self.save_possible_key()?;
        self.key_allowed = false;
        let at = self.cursor.position();
        let kind = self.scan_anchor()?;
        self.push(at, kind);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<(), Error> {
        self.save_possible_key()?;
        self.key_allowed = false;
        let at = self.cursor.position();
        let kind = self.scan_tag()?;
        self.push(at, kind);
        Ok(())
    }

    fn fetch_block_scalar(&mut self) -> Result<(), Error> {
        self.drop_possible_key()?;
        self.key_allowed = true;
        let at = self.cursor.position();
        let folded = self.cursor.here() == b'>';
        let text = self.scan_block_scalar()?;
        self.push(at, Kind::Scalar { text, plain: false, folded });
        Ok(())
    }

    fn fetch_quoted(&mut self) -> Result<(), Error> {
        self.save_possible_key()?;
        self.key_allowed = false;
        let at = self.cursor.position();
        let text = self.scan_quoted()?;
        self.push(at, Kind::Scalar { text, plain: false, folded: false });
        Ok(())
    }

    fn fetch_plain(&mut self) -> Result<(), Error> {
        self.save_possible_key()?;
        self.key_allowed = false;
        let at = self.cursor.position();
        let text = self.scan_plain()?;
        self.push(at, Kind::Scalar { text, plain: true, folded: false });
        Ok(())
    }

    /// Takes a token of one character.
    fn push_char(&mut self, kind: Kind) {
        self.push(self.cursor.position(), kind);
        self.cursor.skip();
    }
}
