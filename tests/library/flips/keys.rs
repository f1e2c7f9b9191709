//! One damaged record of the devices' own keys: that device is out of service and told, and
//! nobody else.

use std::fs;

use hintdex::{Station, device_keys_format as format};
use hintdex_tests::files;

use super::fleet::{GIVEN, GIVEN_FIRST, as_decode, capture, make, said};

#[test]
fn a_damaged_record_of_keys_is_one_device_out_of_service() {
    let folder = files::folder_in_memory();
    let [fleet, _] = make(folder.path());
    let copy = folder.path().join("copy");
    let sent = capture();
    let width = |fields: &[(&str, usize, usize)]| fields.iter().map(|(.., width)| width).sum();
    let (header, record): (usize, usize) = (width(&format::header()), width(&format::record()));
    // One of those that send something new.
    let device = sent.iter().map(|sent| sent.device).find(|device| *device > GIVEN_FIRST);
    let device = device.expect("one that brought its keys");
    let first = header + record * usize::try_from(device - GIVEN_FIRST).expect("few");
    files::replace_folder(&fleet, &copy);
    let bytes = fs::read(copy.join("device.keys")).expect("it is there");
    assert_eq!(bytes.len(), header + record * usize::try_from(GIVEN).expect("few"));
    let right = {
        let station = Station::open(&copy, &as_decode()).expect("it opens");
        [said(&station, &sent).expect("it decodes"), said(&station, &sent).expect("it decodes")]
    };
    let mut wrong = Vec::new();
    for at in first..first + record {
        files::replace_folder(&fleet, &copy);
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(copy.join("device.keys"), damaged).expect("it can be written");
        for (opening, right) in right.iter().enumerate() {
            let what = format!("byte {} of the record of {device}, opening {opening}", at - first);
            let now = Station::open(&copy, &as_decode()).and_then(|station| said(&station, &sent));
            let now = match now {
                Ok(now) => now,
                Err(error) => {
                    wrong.push(format!("{what}: {error}"));
                    continue;
                }
            };
            for ((sent, right), now) in sent.iter().zip(right).zip(&now) {
                let is_right = if sent.device == device {
                    now.0 != "accepted" && now.0 != "forged"
                } else {
                    right == now
                };
                if !is_right {
                    wrong.push(format!("{what}: device {}: {right:?} became {now:?}", sent.device));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(8)]);
}
