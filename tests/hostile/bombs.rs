//! Small files that are large once they are read: memory stays bounded, and what is in them is told all the same.

use std::path::Path;

use crate::program::{Ended, driftline, lines};

/// What a replay may hold: a window of 128 MiB, which zstd allows a file to ask for, and a few blocks of lines.
const MOST_MEMORY: u64 = 300 << 20;

const EVENT: &[u8] = br#"{"id":"e-1","time":0,"agent":{"id":"a"},"action":{"name":"t"}}"#;

fn replay(folder: &Path, file: &[u8]) -> Ended {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(folder.join("bomb"), file).unwrap();
    let arguments = ["replay", &path("bomb"), "--dead-letters", &path("dead"), "--scores", &path("scores")];
    let ended = driftline(folder, &arguments);
    assert!(ended.memory < MOST_MEMORY, "{} MiB", ended.memory >> 20);
    ended
}

/// A zstd frame (RFC 8878) with a window of two to the power of `log`, of `blocks` times 128 KiB of one byte.
fn zstd_of(byte: u8, blocks: usize, log: u8) -> Vec<u8> {
    const RUN: u32 = 1 << 1;
    let header = |size: u32, last: u32| (size << 3 | RUN | last).to_le_bytes();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    for _ in 0..blocks {
        frame.extend_from_slice(&header(128 << 10, 0)[..3]);
        frame.push(byte);
    }
    // A last block of nothing.
    frame.extend_from_slice(&[1, 0, 0]);
    frame
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, text).unwrap();
    gzip.finish().unwrap()
}

fn line(text: &[u8]) -> Vec<u8> {
    [text, b"\n"].concat()
}

#[test]
fn a_line_of_gigabytes_is_one_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    const MIB: usize = 1 << 20;
    // 4 GiB in 128 KiB of zstd, and 1 GiB in gzip, of which a member is read after the other.
    let member = gzip(&vec![b'a'; 64 * MIB]);
    let bombs = [
        (4096 * MIB, [zstd(&line(EVENT)), zstd_of(b'a', 4096 * 8, 27), zstd(&line(b"")), zstd(EVENT)].concat()),
        (1024 * MIB, [gzip(&line(EVENT)), member.repeat(16), gzip(&line(b"")), gzip(EVENT)].concat()),
    ];
    for (bytes, bomb) in bombs {
        let ended = replay(folder.path(), &bomb);
        assert!(ended.status.success(), "{}", ended.said);
        assert!(ended.memory > 1 << 20, "memory was not measured");
        let dead = lines(&folder.path().join("dead"));
        assert_eq!(dead.len(), 1);
        assert_eq!((dead[0]["reason"].as_str(), dead[0]["bytes"].as_u64()), (Some("too_long"), Some(bytes as u64)));
        assert!(dead[0]["position"].as_str().unwrap().ends_with("bomb:2"));
        assert_eq!(lines(&folder.path().join("scores")).len(), 2);
    }
}

#[test]
fn many_lines_of_next_to_nothing_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let few = 300_000;
    let bomb = [zstd_of(b'\n', 512, 27), zstd(&b"x\n".repeat(few)), zstd(EVENT)].concat();
    let ended = replay(folder.path(), &bomb);
    assert!(ended.status.success(), "{}", ended.said);
    let dead = lines(&folder.path().join("dead"));
    let lines_before = 512 * (128 << 10);
    assert_eq!(dead.len(), few);
    assert!(dead.iter().all(|letter| letter["reason"] == "not_json"));
    assert!(dead[0]["position"].as_str().unwrap().ends_with(&format!("bomb:{}", lines_before + 1)));
    assert_eq!(lines(&folder.path().join("scores")).len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_on_says_where_and_loses_nothing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let long: Vec<u8> = (0..200_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let cut = |mut file: Vec<u8>| {
        file.truncate(file.len() - 5000);
        file
    };
    let cases = [
        ("wants more memory", [zstd(&line(EVENT)), zstd_of(b'a', 1, 31)].concat(), "damaged"),
        ("zstd, cut", [zstd(&line(EVENT)), cut(zstd(&long))].concat(), "in the middle"),
        ("gzip, cut", [gzip(&line(EVENT)), cut(gzip(&long))].concat(), "in the middle"),
        ("zstd, then none", [zstd(&line(EVENT)), b"hello".to_vec()].concat(), "damaged"),
    ];
    for (what, file, message) in cases {
        let ended = replay(folder.path(), &file);
        assert_eq!(ended.status.code(), Some(2), "{what}: {}", ended.said);
        assert!(ended.said.contains("bomb:") && ended.said.contains(message), "{what}: {}", ended.said);
        assert!(!ended.said.contains("panicked"), "{what}: {}", ended.said);
        assert_eq!(lines(&folder.path().join("scores")).len(), 1, "{what}: what came before");
    }
}
