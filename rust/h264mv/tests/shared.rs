//! Golden digests of the shared streams, where `MOCLIP_SHARED` names their folder.

mod common;

use std::path::Path;

use h264mv::NO_POC;

#[test]
fn shared_streams_are_exact() {
    let Ok(folder) = std::env::var("MOCLIP_SHARED") else {
        eprintln!("skipped: MOCLIP_SHARED does not name the shared folder");
        return;
    };
    let folder = Path::new(&folder).join("h264");
    let Ok(entries) = std::fs::read_dir(folder.join("streams")) else {
        eprintln!("skipped: no streams in {}", folder.display());
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let golden = std::fs::read_to_string(folder.join("golden").join(format!("{name}.csv")))
            .expect("golden");
        let data = std::fs::read(entry.path()).expect("stream");
        let pictures = common::parse(&data, 2);
        let rows: Vec<Vec<&str>> = golden
            .lines()
            .skip(1)
            .map(|l| l.split(',').collect())
            .collect();
        assert_eq!(pictures.len(), rows.len(), "{name}");
        for (p, row) in pictures.iter().zip(rows) {
            let at = format!("{name} picture {}", p.info.decode_index);
            assert_eq!(p.damage, None, "{at}");
            assert_eq!(p.info.poc.to_string(), row[1], "{at}");
            let delta = |poc| match poc {
                NO_POC => poc,
                _ => p.info.poc.wrapping_sub(poc),
            };
            for (bytes, column) in common::arrays(p, delta).iter().zip(9..) {
                assert_eq!(
                    common::files::short_sha(bytes),
                    row[column],
                    "{at} column {column}"
                );
            }
        }
    }
}
