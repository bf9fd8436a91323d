//! PAX records: `LENGTH KEY=VALUE\n`, read for the one key that matters and for those that are tricks.

/// What the records of one extended header say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// The entry's name in place of the header's.
    pub(super) path: Option<Vec<u8>>,
    /// The entry's size, which must be the header's.
    pub(super) size: Option<u64>,
}

impl Records {
    /// Reads the records. Times, owners, comments and extended attributes are passed over; a key that changes what is
    /// unpacked is read if it is `path` or `size`, and refused if it is another.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, String> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let (Record { key, value }, rest) = split_record(bytes)?;
            match key {
                b"path" if records.path.is_some() => return Err("expected one PAX path, found two".into()),
                b"path" => records.path = Some(value.to_vec()),
                b"size" if records.size.is_some() => return Err("expected one PAX size, found two".into()),
                b"size" => records.size = Some(decimal(value).ok_or("expected a decimal PAX size")?),
                b"linkpath" => return Err("expected no link, found a PAX linkpath".into()),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err("expected a plain file, found a sparse one".into());
                }
                _ => {}
            }
            bytes = rest;
        }
        Ok(records)
    }

    /// Whether the records change nothing of an entry.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One record.
struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

/// The first record, and what follows it.
fn split_record(bytes: &[u8]) -> Result<(Record<'_>, &[u8]), String> {
    let broken = || "expected a PAX record \"LENGTH KEY=VALUE\", found other bytes".to_owned();
    let blank = bytes.iter().position(|&byte| byte == b' ').ok_or_else(broken)?;
    let length =
        decimal(&bytes[..blank]).and_then(|length| usize::try_from(length).ok()).ok_or_else(broken)?;
    if length <= blank + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return Err(broken());
    }
    let record = &bytes[blank + 1..length - 1];
    let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(broken)?;
    Ok((Record { key: &record[..equals], value: &record[equals + 1..] }, &bytes[length..]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}
