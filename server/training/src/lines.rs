//! A program's stdout and stderr, line by line.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of a line that are kept together. Reason: log stores take events of 256 KiB; a longer line is told of in pieces.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a read. Reason: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// Reads `source` to its end, and gives each line to `told` without its line end. Bytes that are no UTF-8 are replaced.
pub(crate) async fn read(
    mut source: impl AsyncRead + Unpin,
    mut told: impl FnMut(&str),
) -> std::io::Result<()> {
    let mut held = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = source.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        let mut rest = &buffer[..count];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            held.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            tell(&mut held, &mut told);
        }
        held.extend_from_slice(rest);
        while held.len() > LINE_BYTES_MAX {
            let after = held.split_off(LINE_BYTES_MAX);
            tell(&mut held, &mut told);
            held = after;
        }
    }
    if !held.is_empty() {
        tell(&mut held, &mut told);
    }
    Ok(())
}

fn tell(held: &mut Vec<u8>, told: &mut impl FnMut(&str)) {
    let line = held.strip_suffix(b"\r").unwrap_or(held);
    for piece in line.chunks(LINE_BYTES_MAX) {
        told(&String::from_utf8_lossy(piece));
    }
    if line.is_empty() {
        told("");
    }
    held.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read(bytes, |line| lines.push(line.to_owned())).await.unwrap();
        lines
    }

    #[tokio::test]
    async fn lines_are_told_whole() {
        assert_eq!(lines(b"").await, [""; 0]);
        assert_eq!(lines(b"a\nb\r\n\nc").await, ["a", "b", "", "c"]);
        assert_eq!(lines(b"\xff\n").await, ["\u{fffd}"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_told_in_pieces() {
        let long = vec![b'x'; 2 * LINE_BYTES_MAX + 5];
        for bytes in [long.clone(), [&long[..], b"\ny"].concat()] {
            let found = lines(&bytes).await;
            assert!(found.iter().all(|line| line.len() <= LINE_BYTES_MAX));
            assert_eq!(found[..3].concat().len(), long.len());
        }
    }
}
