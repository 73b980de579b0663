use crate::Extensions;

#[test]
fn values_are_kept_by_type() {
    let mut extensions = Extensions::new();
    assert!(extensions.is_empty());
    assert_eq!(size_of::<Extensions>(), size_of::<usize>());
    assert_eq!(extensions.insert(1u32), None);
    assert_eq!(extensions.insert("text"), None);
    assert_eq!(extensions.insert(2u32), Some(1));
    let copy = extensions.clone();
    *extensions.get_mut::<u32>().unwrap() += 1;
    assert_eq!(extensions.get::<u32>(), Some(&3));
    assert_eq!(copy.get::<u32>(), Some(&2));
    assert_eq!(extensions.remove::<u32>(), Some(3));
    assert_eq!(extensions.get::<u32>(), None);
    assert_eq!(extensions.get::<&str>(), Some(&"text"));
    assert_eq!(extensions.remove::<u8>(), None);
    assert_eq!(format!("{extensions:?}"), "Extensions(1)");
}
