use proptest::prelude::*;

use super::TraceContext;
use super::trace_context::Current;

const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn the_standards_example_is_read_and_written() {
    let context: TraceContext = EXAMPLE.parse().unwrap();
    assert_eq!(
        context.trace_id(),
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
    );
    assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7);
    assert!(context.is_sampled());
    assert_eq!(context.to_string(), EXAMPLE);
    let unsampled = EXAMPLE.replace("-01", "-00");
    assert!(!unsampled.parse::<TraceContext>().unwrap().is_sampled());
}

#[test]
fn flags_of_later_levels_are_not_passed_on() {
    let context: TraceContext = EXAMPLE.replace("-01", "-ff").parse().unwrap();
    assert_eq!(context.to_string(), EXAMPLE);
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    for more in ["", "-", "-what-ever"] {
        let text = format!("cc{}{more}", &EXAMPLE[2..]);
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), EXAMPLE);
    }
}

#[test]
fn what_is_not_valid_is_refused() {
    let bad = [
        String::new(),
        EXAMPLE.to_uppercase(),
        format!("{EXAMPLE}-more"),
        format!("{EXAMPLE} "),
        format!("ff{}", &EXAMPLE[2..]),
        format!("cc{}more", &EXAMPLE[2..]),
        EXAMPLE.replace('-', "_"),
        EXAMPLE[..54].to_owned(),
        format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16)),
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    ];
    for text in bad {
        assert!(text.parse::<TraceContext>().is_err(), "{text}");
    }
}

#[test]
fn a_child_is_of_the_same_trace() {
    let root = TraceContext::new_root(true);
    let child = root.child();
    assert_eq!(child.trace_id(), root.trace_id());
    assert_ne!(child.span_id(), root.span_id());
    assert!(child.is_sampled());
    assert_ne!(TraceContext::new_root(true).trace_id(), root.trace_id());
}

#[test]
fn the_current_context_is_that_of_the_innermost_guard() {
    let (outer, inner) = (TraceContext::new_root(true), TraceContext::new_root(false));
    assert_eq!(TraceContext::current(), None);
    let guard = Current::enter(outer);
    {
        let _guard = Current::enter(inner);
        assert_eq!(TraceContext::current(), Some(inner));
    }
    assert_eq!(TraceContext::current(), Some(outer));
    drop(guard);
    assert_eq!(TraceContext::current(), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(sampled: bool) {
        let context = TraceContext::new_root(sampled);
        prop_assert_eq!(context.to_string().parse(), Ok(context));
    }

    #[test]
    fn no_text_panics(text in "[0-9a-fA-F-]{0,60}|.{0,60}") {
        if let Ok(context) = text.parse::<TraceContext>() {
            prop_assert!(context.trace_id() != 0 && context.span_id() != 0);
        }
    }
}
