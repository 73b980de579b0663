//! Finds messages and enums that prost would turn into code with one name twice.

use std::collections::BTreeMap;

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::ident::{full_name, to_snake, to_upper_camel, to_variant};
use crate::source::{location, position};

/// Field numbers of descriptor.proto that make up the path of a location.
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const MESSAGE_FIELD: i32 = 2;
const MESSAGE_MESSAGE: i32 = 3;
const MESSAGE_ENUM: i32 = 4;
const MESSAGE_ONEOF: i32 = 8;
const ENUM_VALUE: i32 = 2;

/// Reports each collision inside the messages and enums of the file.
pub(crate) fn check(shown: &str, file: &FileDescriptorProto, report: impl FnMut(String)) {
    let mut check = Check {
        shown,
        file,
        report,
    };
    for (index, message) in file.message_type.iter().enumerate() {
        let full = full_name(file.package(), message.name());
        check.message(&full, message, &[FILE_MESSAGE, position(index)]);
    }
    for (index, enumeration) in file.enum_type.iter().enumerate() {
        let full = full_name(file.package(), enumeration.name());
        check.enumeration(&full, enumeration, &[FILE_ENUM, position(index)]);
    }
}

struct Check<'a, F> {
    shown: &'a str,
    file: &'a FileDescriptorProto,
    report: F,
}

impl<F: FnMut(String)> Check<'_, F> {
    fn message(&mut self, full: &str, message: &DescriptorProto, path: &[i32]) {
        let mut fields = BTreeMap::new();
        for (index, field) in message.field.iter().enumerate() {
            let at = join(path, MESSAGE_FIELD, index);
            // Alternatives of a oneof become variants of its enum.
            if field.oneof_index.is_none() || field.proto3_optional() {
                self.take(
                    &mut fields,
                    full,
                    "field",
                    field.name(),
                    to_snake(field.name()),
                    &at,
                );
            }
        }
        let mut types = BTreeMap::new();
        for (index, oneof) in message.oneof_decl.iter().enumerate() {
            let number = Some(position(index));
            let mut members = message.field.iter().enumerate();
            // `optional` of proto3 is a oneof that nobody wrote.
            let written =
                members.any(|(_, field)| field.oneof_index == number && !field.proto3_optional());
            if !written {
                continue;
            }
            let at = join(path, MESSAGE_ONEOF, index);
            self.take(
                &mut fields,
                full,
                "oneof",
                oneof.name(),
                to_snake(oneof.name()),
                &at,
            );
            let mut variants = BTreeMap::new();
            for (index, field) in message.field.iter().enumerate() {
                if field.oneof_index == number {
                    let at = join(path, MESSAGE_FIELD, index);
                    let rust = to_upper_camel(field.name());
                    self.take(&mut variants, full, "field", field.name(), rust, &at);
                }
            }
        }
        for (index, nested) in message.nested_type.iter().enumerate() {
            let is_map = nested
                .options
                .as_ref()
                .is_some_and(|options| options.map_entry());
            if is_map {
                continue;
            }
            let at = join(path, MESSAGE_MESSAGE, index);
            let rust = to_upper_camel(nested.name());
            self.take(&mut types, full, "message", nested.name(), rust, &at);
            self.message(&format!("{full}.{}", nested.name()), nested, &at);
        }
        for (index, nested) in message.enum_type.iter().enumerate() {
            let at = join(path, MESSAGE_ENUM, index);
            let rust = to_upper_camel(nested.name());
            self.take(&mut types, full, "enum", nested.name(), rust, &at);
            self.enumeration(&format!("{full}.{}", nested.name()), nested, &at);
        }
    }

    fn enumeration(&mut self, full: &str, enumeration: &EnumDescriptorProto, path: &[i32]) {
        let mut variants = BTreeMap::new();
        let mut numbers = Vec::new();
        for (index, value) in enumeration.value.iter().enumerate() {
            // An alias of an earlier value has no variant of its own.
            if numbers.contains(&value.number()) {
                continue;
            }
            numbers.push(value.number());
            let at = join(path, ENUM_VALUE, index);
            let rust = to_variant(enumeration.name(), value.name());
            self.take(&mut variants, full, "value", value.name(), rust, &at);
        }
    }

    fn take(
        &mut self,
        taken: &mut BTreeMap<String, String>,
        parent: &str,
        sort: &str,
        name: &str,
        rust: String,
        path: &[i32],
    ) {
        let what = format!("{sort} `{name}`");
        if let Some(other) = taken.get(&rust) {
            let place = location(self.shown, self.file, path);
            (self.report)(format!(
                "{place}: {what} and {other} of `{parent}` would both be `{rust}` in Rust; rename one in \
                 the .proto file, or define `{parent}` elsewhere with `configure().extern_path(..)`"
            ));
        } else {
            taken.insert(rust, what);
        }
    }
}

fn join(path: &[i32], field: i32, index: usize) -> Vec<i32> {
    let mut path = path.to_vec();
    path.extend([field, position(index)]);
    path
}
