use crate::Arguments;

fn read(text: &str) -> Arguments {
    Arguments::read(text.split_whitespace().map(str::to_owned)).unwrap()
}

#[test]
fn pairs_are_taken_by_name() {
    let mut arguments = read("--callers 8 --seconds 0.5");
    assert_eq!(arguments.required("--seconds"), Ok(0.5));
    assert_eq!(arguments.optional::<u32>("--size"), Ok(None));
    assert_eq!(arguments.required("--callers"), Ok(8));
    arguments.finish().unwrap();
}

#[test]
fn errors_name_the_option() {
    let text = |error: Result<(), crate::UsageError>| error.unwrap_err().to_string();
    assert!(
        text(
            read("--callers many")
                .required::<u32>("--callers")
                .map(drop)
        )
        .contains("--callers many")
    );
    assert!(text(read("").required::<u32>("--callers").map(drop)).contains("--callers"));
    assert!(text(read("--caller 8").finish()).contains("--caller"));
    let odd = |text: &str| Arguments::read([text.to_owned()]).map(drop);
    assert!(text(odd("--callers")).contains("needs a value"));
    assert!(text(odd("callers")).contains("not an option"));
}
