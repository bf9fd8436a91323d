//! Names of entries: relative, plain, and the same to every reader, or refused.

use super::{PATH_BYTES_MAX, PATH_DEPTH_MAX, PATH_PART_BYTES_MAX};

/// The name without a leading `./` and a directory's closing `/`; empty for the archive's own root (`./`).
pub(super) fn check(name: &[u8], is_directory: bool) -> Result<String, String> {
    let name = std::str::from_utf8(name).map_err(|_| "expected a name in UTF-8".to_owned())?;
    if name.len() > PATH_BYTES_MAX {
        return Err(format!("expected a name of at most {PATH_BYTES_MAX} bytes, found {}", name.len()));
    }
    if name.chars().any(char::is_control) {
        return Err("expected a name without control characters".into());
    }
    if name.contains('\\') || is_drive(name) {
        return Err("expected a name with / between its parts, found one of Windows".into());
    }
    if name.starts_with('/') {
        return Err("expected a relative name, found an absolute one".into());
    }
    let plain = if is_directory { name.strip_suffix('/').unwrap_or(name) } else { name };
    if is_directory && plain == "." {
        return Ok(String::new());
    }
    let plain = plain.strip_prefix("./").unwrap_or(plain);
    let parts: Vec<&str> = plain.split('/').collect();
    parts.iter().try_for_each(|part| check_part(part))?;
    if parts.len() > PATH_DEPTH_MAX {
        return Err(format!("expected at most {PATH_DEPTH_MAX} parts, found {}", parts.len()));
    }
    Ok(plain.to_owned())
}

fn is_drive(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
}

fn check_part(part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err("expected a name without empty parts".into());
    }
    if part.bytes().all(|byte| byte == b'.') {
        return Err(format!("expected a name without the part {part:?}"));
    }
    if part.len() > PATH_PART_BYTES_MAX {
        return Err(format!("expected parts of at most {PATH_PART_BYTES_MAX} bytes, found {}", part.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_or_refused() {
        for (name, is_directory, expected) in [
            ("model.json", false, Some("model.json")),
            ("./model.json", false, Some("model.json")),
            ("code/inference.py", false, Some("code/inference.py")),
            ("code/", true, Some("code")),
            ("./code/", true, Some("code")),
            ("./", true, Some("")),
            (".", true, Some("")),
            ("..model", false, Some("..model")),
            (".hidden", false, Some(".hidden")),
            ("", false, None),
            ("/", true, None),
            (".", false, None),
            ("./", false, None),
            ("code/", false, None),
            ("..", true, None),
            ("../x", false, None),
            ("a/../b", false, None),
            ("a/..", true, None),
            ("a/./b", false, None),
            ("././b", false, None),
            (".../b", false, None),
            ("a//b", false, None),
            ("a//", true, None),
            ("/etc/passwd", false, None),
            (".//etc/passwd", false, None),
            ("a\\..\\b", false, None),
            ("C:evil", false, None),
            ("c:/evil", false, None),
            ("a\nb", false, None),
            ("a\u{7f}b", false, None),
        ] {
            assert_eq!(check(name.as_bytes(), is_directory).ok().as_deref(), expected, "{name:?}");
        }
        assert!(check(b"\xff", false).is_err());
        assert!(check("a".repeat(256).as_bytes(), false).is_err());
        assert!(check("a/".repeat(16).as_bytes(), true).is_ok());
        assert!(check("a/".repeat(17).as_bytes(), true).is_err());
        assert!(check("ab/".repeat(400).as_bytes(), true).is_err());
    }
}
