//! Records that one module hands to the next in one.

use ovation_shell::{Batch, Output};

fn bytes(output: Output) -> Vec<u8> {
    let mut bytes = output.finish(None, 0);
    // Whether there was an error, which is no part of the records.
    bytes.pop();
    bytes
}

#[test]
fn what_was_packed_comes_out_as_it_was() {
    for count in [0, 1, 300] {
        let mut output = Output::default();
        for delta in 0..count {
            output.push(delta, 7, (delta % 2 == 0).then_some(b"key"), &[0xff; 200]);
        }
        let apart = bytes(output.clone());
        let packed = bytes(output.packed());
        let (apart, packed) = (Batch::from_records(5, 9, &apart), Batch::from_records(5, 9, &packed));
        let (apart, packed) = (apart.expect("a batch"), packed.expect("a batch"));
        assert_eq!(packed.len(), 1);
        let unpacked = packed.unpacked().expect("a pack");
        assert_eq!((unpacked.base_offset, unpacked.base_timestamp), (5, 9));
        assert!(unpacked.records().eq(apart.records()));
        assert_eq!(apart.records().count() as i64, count);
    }
}

#[test]
fn what_is_no_pack_is_refused() {
    let mut two = Output::default();
    two.push(0, 0, Some(b"\x01pack"), &[0; 4]);
    two.push(1, 0, Some(b"\x01pack"), &[0; 4]);
    let mut other = Output::default();
    other.push(0, 0, Some(b"pack"), &[0; 4]);
    let mut cut = Output::default();
    cut.push(0, 0, Some(b"\x01pack"), &[0; 3]);
    for output in [Output::default(), two, other, cut] {
        let bytes = bytes(output);
        assert!(Batch::from_records(0, 0, &bytes).expect("a batch").unpacked().is_err());
    }
}
