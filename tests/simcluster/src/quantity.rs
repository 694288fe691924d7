//! How does the API server write a quantity such as `0.5`, `1000m` or `2048Mi` back?

/// Exponents of the decimal suffixes, largest first.
const DECIMAL: [(&str, i32); 10] =
    [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];

/// Powers of 1024 of the binary suffixes, largest first.
const BINARY: [(&str, u32); 6] = [("Ei", 6), ("Pi", 5), ("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1)];

/// The canonical form, or `None` when the text is no quantity (or too large to count in nanounits).
pub(crate) fn canonical(text: &str) -> Option<String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        let nano = rounded_up(mantissa.checked_mul(1024_i128.checked_pow(*power)?)?, 9 - places)?;
        return Some(sign(negative, binary(nano)));
    }
    let exponent = match DECIMAL.iter().find(|(name, _)| *name == suffix) {
        Some((_, exponent)) => *exponent,
        None => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let nano = rounded_up(mantissa, exponent + 9 - places)?;
            return Some(sign(negative, scientific(nano)));
        }
    };
    Some(sign(negative, decimal(rounded_up(mantissa, exponent + 9 - places)?)))
}

/// `mantissa` times ten to `power`, rounded up.
fn rounded_up(mantissa: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    match power >= 0 {
        true => mantissa.checked_mul(factor),
        false => Some((mantissa + factor - 1) / factor),
    }
}

fn sign(negative: bool, text: String) -> String {
    if negative && text != "0" { format!("-{text}") } else { text }
}

fn decimal(nano: i128) -> String {
    for (suffix, exponent) in DECIMAL {
        let unit = 10_i128.pow(exponent.unsigned_abs().min(27));
        let unit = if exponent >= 0 { unit * 1_000_000_000 } else { 1_000_000_000 / unit };
        if nano != 0 && nano % unit == 0 {
            return format!("{}{suffix}", nano / unit);
        }
    }
    "0".to_owned()
}

fn binary(nano: i128) -> String {
    const ONE: i128 = 1_000_000_000;
    if nano % ONE != 0 {
        return decimal(nano);
    }
    let units = nano / ONE;
    if units < 1024 {
        return decimal(nano);
    }
    for (suffix, power) in BINARY {
        let unit = 1024_i128.pow(power);
        if units % unit == 0 {
            return format!("{}{suffix}", units / unit);
        }
    }
    units.to_string()
}

fn scientific(nano: i128) -> String {
    let text = decimal(nano);
    match DECIMAL.iter().find(|(suffix, _)| !suffix.is_empty() && text.ends_with(suffix)) {
        Some((suffix, exponent)) => format!("{}e{exponent}", text.trim_end_matches(suffix)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_are_written_as_the_api_server_writes_them() {
        for (text, expected) in [
            ("1", "1"),
            ("1000m", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("100m", "100m"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("512Ki", "512Ki"),
            ("1000Ki", "1000Ki"),
            ("1000k", "1M"),
            ("0", "0"),
            ("0Mi", "0"),
            ("1e3", "1e3"),
            ("-1.5", "-1500m"),
            ("100n", "100n"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "Mi", "1.2.3", "ten", "1 Gi", "1KB"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
