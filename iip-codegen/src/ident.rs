//! Protobuf names as Rust identifiers, by the same rules that prost applies to messages.

/// Words that Rust reserves and that `r#` makes usable.
const RAW: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
    "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Words that Rust reserves and that `r#` does not help.
const NEVER_RAW: &[&str] = &["Self", "_", "crate", "extern", "self", "super"];

/// `SayHello` and `say_hello` as `say_hello`; keywords become raw identifiers.
pub(crate) fn to_snake(name: &str) -> String {
    escape(words(name).join("_"))
}

/// `say_hello` and `SAY_HELLO` as `SayHello`.
pub(crate) fn to_upper_camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in words(name) {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            camel.extend(first.to_uppercase());
            camel.push_str(letters.as_str());
        }
    }
    escape(camel)
}

/// The name of the constant that goes with a function of the given name.
pub(crate) fn to_constant(function: &str) -> String {
    function
        .strip_prefix("r#")
        .unwrap_or(function)
        .to_uppercase()
}

/// The variant that prost makes of an enum's value: without the enum's name in front.
pub(crate) fn to_variant(enumeration: &str, value: &str) -> String {
    let prefix = to_upper_camel(enumeration);
    let variant = to_upper_camel(value);
    let stripped = variant
        .strip_prefix(&prefix)
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()));
    match stripped {
        Some(rest) => escape(rest.to_owned()),
        None => variant,
    }
}

/// `package.Name`, or the name alone where there is no package.
pub(crate) fn full_name(package: &str, name: &str) -> String {
    if package.is_empty() {
        name.to_owned()
    } else {
        format!("{package}.{name}")
    }
}

/// Whether the text can name a function as it stands.
pub(crate) fn is_function(text: &str) -> bool {
    is_identifier(text) && !text.contains(|letter: char| letter.is_ascii_uppercase())
}

/// Whether the text can name a type as it stands.
pub(crate) fn is_type(text: &str) -> bool {
    is_identifier(text) && text.starts_with(|first: char| first.is_ascii_uppercase())
}

fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    let starts = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    starts
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !RAW.contains(&text)
        && !NEVER_RAW.contains(&text)
}

fn escape(name: String) -> String {
    if RAW.contains(&name.as_str()) {
        format!("r#{name}")
    } else if NEVER_RAW.contains(&name.as_str()) {
        format!("{name}_")
    } else if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// Which case the last letter of the current word had.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Unknown,
    Lower,
    Upper,
}

/// The words of a name, in lower case: `XMLHttpRequest2` is `xml`, `http`, `request2`.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        let mut word = String::new();
        let mut case = Case::Unknown;
        let mut letters = part.chars().peekable();
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied().unwrap_or('_');
            let before = case;
            case = match letter {
                'a'..='z' => Case::Lower,
                'A'..='Z' => Case::Upper,
                // A digit belongs to what came before it.
                _ => case,
            };
            // The last capital of a run starts a word: `XMLHttp`.
            if before == Case::Upper && letter.is_ascii_uppercase() && next.is_ascii_lowercase() {
                words.push(std::mem::take(&mut word));
                case = Case::Unknown;
            }
            word.push(letter.to_ascii_lowercase());
            // A capital after a small letter starts one too: `sayHello`.
            if case == Case::Lower && next.is_ascii_uppercase() {
                words.push(std::mem::take(&mut word));
                case = Case::Unknown;
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}
