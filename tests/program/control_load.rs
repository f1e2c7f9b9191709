//! How long packets take while commands run (docs/results/commands.md).

use std::thread;
use std::time::Instant;

use hintdex_tests::program::Running;
use hintdex_tests::{Devices, Outcome, provision};

use super::control::run_in;

/// Sends packets of one device after the other in batches of 50 until `ends`, and returns how long
/// each batch took to its last verdict, in milliseconds, in ascending order.
fn batch_times_ms(running: &mut Running, nonce: u64, ends: &dyn Fn() -> bool) -> Vec<f64> {
    let devices = Devices::of_capture();
    let (mut times, mut device) = (Vec::new(), 0);
    while !ends() || times.len() < 20 {
        let batch = device..device + 50;
        let lines: String = batch.clone().map(|device| devices.line(device, nonce, b"x")).collect();
        let began = Instant::now();
        running.send(&lines);
        for device in batch {
            let said = running.next_verdict();
            // All devices have sent: the rest are repeats.
            assert!(["accepted", "replay"].contains(&said.verdict.as_str()), "{said:?}");
            assert_eq!(said.sender, Some((device, nonce)));
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
        device = (device + 50) % 90_000;
    }
    times.sort_by(f64::total_cmp);
    times
}

#[test]
#[ignore = "a measurement"]
fn packets_while_commands_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "100000"]).done();
    let mut running = Running::start(&fleet, &[]);
    let commands = [
        "",
        "inspect fleet",
        "device list --index fleet --json",
        "provision --index fleet --devices 10000 --first-device 200000",
        "device retire --index fleet 90000-94999",
        "device revoke --index fleet 95000-95999",
        "device rotate --index fleet 96000-96999",
        "device set --index fleet 97000-98999 --late 1000",
        "device export --index fleet --out moved.jsonl",
        "rebuild --index fleet --out coming.hdx",
        "rebuild --index fleet --out chain.hdx --encoding chain",
        "verify fleet",
        "roll --index fleet",
    ];
    for (nonce, line) in (0..).zip(commands) {
        let times = thread::scope(|scope| {
            let (words, folder): (Vec<_>, _) = (line.split_whitespace().collect(), folder.path());
            let call = scope.spawn(move || {
                let began = Instant::now();
                let outcome = (!words.is_empty()).then(|| run_in(folder, &words, ""));
                (outcome, began.elapsed().as_secs_f64())
            });
            let times = batch_times_ms(&mut running, nonce, &|| call.is_finished());
            let (outcome, seconds) = call.join().expect("no panic");
            outcome.map(Outcome::done);
            println!("{line}: {seconds:.2} s");
            times
        });
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "    {} batches of 50: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            times.len(),
            at(50),
            at(90),
            at(99),
            at(100)
        );
    }
    running.end();
}
