//! Is this text a date to YAML 1.1, and how does Go write it into JSON?

/// The date as Go writes it (`2020-01-02T00:00:00Z`), if the text is one.
pub(super) fn go_time(text: &str) -> Option<String> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some(separator) = rest.chars().next() else {
        return Some(format!("{date}T00:00:00Z"));
    };
    let (hour, rest) = digits(rest.strip_prefix(['T', 't', ' '])?, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    let (second, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = fraction(rest)?;
    let zone = match (separator, rest) {
        (' ', "") | ('T' | 't', "Z") => "Z".to_owned(),
        ('T' | 't', zone) => offset(zone)?,
        _ => return None,
    };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

/// A number of at least `least` and at most `most` digits at the beginning of the text.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if length < least { None } else { Some((text[..length].parse().ok()?, &text[length..])) }
}

/// The part behind the second's point, without zeros at its end and with the point if it is left.
fn fraction(text: &str) -> Option<(String, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return Some((String::new(), text));
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return None;
    }
    let kept = rest[..length.min(9)].trim_end_matches('0');
    let fraction = if kept.is_empty() { String::new() } else { format!(".{kept}") };
    Some((fraction, &rest[length..]))
}

fn offset(text: &str) -> Option<String> {
    let (hour, rest) = digits(text.strip_prefix(['+', '-'])?, 2, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    if !rest.is_empty() || hour > 24 || minute > 60 {
        return None;
    }
    Some(if (hour, minute) == (0, 0) { "Z".to_owned() } else { text.to_owned() })
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
