//! What it costs to refuse a call, in instructions, which no other load on the machine changes.

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_refusal-cost");

/// Instructions of one call; `None` without valgrind. The start of the program is in both runs, so that it is in none of
/// the difference.
fn per_call(outcome: &str, kind: &str) -> Option<f64> {
    const CALLS: u32 = 640;
    let once = instructions(outcome, kind, CALLS)?;
    let twice = instructions(outcome, kind, 2 * CALLS)?;
    Some((twice - once) / f64::from(CALLS))
}

fn instructions(outcome: &str, kind: &str, calls: u32) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([PROGRAM, outcome, kind, &calls.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let answered = if outcome == "answered" { calls } else { 0 };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, format!("{answered} of {calls} calls answered\n"));
    let (_, count) = text.split_once("Collected : ").expect("callgrind's count");
    let count = count.lines().next().unwrap_or_default().trim();
    Some(count.parse().expect("a number"))
}

#[test]
#[allow(clippy::print_stdout)]
fn a_refused_call_costs_little() {
    for kind in ["plain", "sheddable"] {
        let Some(answered) = per_call("answered", kind) else {
            println!("skipped: valgrind is not installed");
            return;
        };
        let refused = per_call("refused", kind).expect("valgrind was there a moment ago");
        let share = refused / answered * 100.0;
        println!(
            "{kind}: {refused:.0} instructions, {share:.0} % of an answered call's {answered:.0}"
        );
        assert!(share <= 60.0, "{kind}: {share} % of an empty call");
        // Half an instruction a nanosecond, so that the answer to 100 us of work is 50,000 at least.
        if !cfg!(debug_assertions) {
            assert!(refused <= 2500.0, "{kind}: {refused} instructions");
        }
    }
}
