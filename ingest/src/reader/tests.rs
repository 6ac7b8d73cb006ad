use std::io::Write;

use super::*;
use crate::event_batch::LineCount;

/// Reads a file with batches that come round, as a run does; what each batch holds.
fn read(content: &[u8]) -> Vec<(Vec<u8>, BatchOrigin, usize)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let input = Input::file(file.path().to_owned(), None);
    let plan = Arc::new(MeteringPlan::new(&[]));
    let mut reader = Reader::new(vec![(input, None)], Vec::new(), plan, Arc::default());
    let mut batches = [EventBatch::new(0), EventBatch::new(0), EventBatch::new(0)];
    let mut lines = LineCount::default();
    let mut read = Vec::new();
    for turn in 0.. {
        let batch = &mut batches[turn % 3];
        batch.clear();
        if reader.next(batch).unwrap().is_none() {
            break;
        }
        let (content, padding) = batch.bytes.split_at(batch.bytes.len() - PADDING);
        assert_eq!(padding, [0; PADDING]);
        let content = content.to_vec();
        // As a decoder does.
        batch.line_ends = u32::try_from(newlines(&content)).unwrap();
        lines.place(batch);
        read.push((content, batch.origin.clone(), batch.rejects.len()));
    }
    read
}

#[test]
fn batches_are_the_input_cut_after_lines() {
    for (lines, reach) in [(1, 9), (200_000, 23), (400, 39_989), (7, 900_001)] {
        let mut content = Vec::new();
        for line in 0..lines {
            content.extend(std::iter::repeat_n(b'a' + u8::try_from(line % 26).unwrap(), line * 7919 % reach));
            content.push(b'\n');
        }
        content.extend_from_slice(b"no line end");
        let batches = read(&content);
        let mut offset = 0;
        for (sequence, (bytes, origin, rejects)) in batches.iter().enumerate() {
            assert_eq!((origin.sequence, origin.offset), (sequence as u64, offset as u64));
            assert_eq!(origin.line, newlines(&content[..offset]) + 1);
            assert_eq!(bytes, &content[offset..offset + bytes.len()]);
            assert_eq!(*rejects, 0);
            offset += bytes.len();
            let end = InputPosition { offset: offset as u64, line: newlines(&content[..offset]) };
            assert_eq!((origin.end, origin.is_last), (end, sequence + 1 == batches.len()));
            assert!(offset == content.len() || bytes.ends_with(b"\n"));
        }
        assert_eq!(offset, content.len());
    }
}

#[test]
fn a_record_that_is_too_large_is_refused_alone() {
    let content = [&b"{}\n"[..], &vec![b'x'; EVENT_BYTES_MAX * 2], b"\n{\"a\":1}\n"].concat();
    let batches = read(&content);
    let kept = vec![b'x'; QUARANTINED_BYTES_MAX];
    let expected: [(&[u8], usize); 3] = [(b"{}\n", 0), (&kept, 1), (b"{\"a\":1}\n", 0)];
    let got: Vec<_> = batches.iter().map(|(bytes, _, rejects)| (bytes.as_slice(), *rejects)).collect();
    assert_eq!(got, expected);
}

#[test]
fn an_input_that_is_empty_or_ends_with_a_batch_ends_with_an_empty_one() {
    let lines = vec![b'\n'; BATCH_BYTES];
    for (content, expected) in [(&b""[..], vec![0]), (b"{}", vec![2]), (&lines, vec![BATCH_BYTES, 0])] {
        let batches = read(content);
        let lengths: Vec<usize> = batches.iter().map(|(bytes, _, _)| bytes.len()).collect();
        assert_eq!(lengths, expected);
        let is_last: Vec<bool> = batches.iter().map(|(_, origin, _)| origin.is_last).collect();
        assert_eq!(is_last.iter().filter(|is_last| **is_last).count(), 1);
        assert_eq!(is_last.last(), Some(&true));
    }
}
