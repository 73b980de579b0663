//! Which items the path of a setting means, by the rules that prost has for messages.

/// Whether `path` means the item of the full name `package.Item`, or something that it lies in.
///
/// `.` is everything; with a leading dot a path is a full name and all below it; without one it is the end of a name.
pub(crate) fn selects(path: &str, full_name: &str) -> bool {
    match path.strip_prefix('.') {
        Some("") => true,
        Some(start) => full_name
            .strip_prefix(start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => full_name
            .strip_suffix(path)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    }
}
