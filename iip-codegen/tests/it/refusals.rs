//! What is refused, and in which words: the text is all that a user sees of a failed build.

use iip_codegen::{Builder, Error, ErrorKind, configure};

use crate::{empty_folder, folder_of};

/// The error for one file with the text, its folder left out of the message.
fn refuse(test: &str, text: &str) -> Error {
    refuse_with(test, text, |builder| builder)
}

fn refuse_with(test: &str, text: &str, settings: impl FnOnce(Builder) -> Builder) -> Error {
    let folder = folder_of(&format!("refuse-{test}"), &[("a.proto", text)]);
    settings(configure())
        .out_dir(folder.join("out"))
        .compile(folder.join("a.proto"))
        .expect_err("the file is refused")
}

/// The lines of the message, from the name of the file on.
#[track_caller]
fn assert_text(error: &Error, kind: ErrorKind, expected: &[&str]) {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.find("a.proto:").map_or(line, |at| &line[at..]))
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(error.kind(), kind);
    assert_eq!(format!("{error:?}"), text, "main prints Debug");
}

#[test]
fn a_syntax_error_has_a_place() {
    let error = refuse(
        "syntax",
        "syntax = \"proto3\";\nmessage A {\n  string = 1;\n}\n",
    );
    assert_text(
        &error,
        ErrorKind::Proto,
        &["a.proto:3:10: expected an identifier, but found '='"],
    );
}

#[test]
fn an_unknown_type_has_a_place() {
    let error = refuse(
        "type",
        "syntax = \"proto3\";\nmessage A {\n  Missing a = 1;\n}\n",
    );
    assert_text(
        &error,
        ErrorKind::Proto,
        &["a.proto:3:3: name 'Missing' is not defined"],
    );
}

#[test]
fn editions_are_named_as_unsupported() {
    let error = refuse("edition", "edition = \"2023\";\npackage a;\n");
    assert_text(
        &error,
        ErrorKind::Unsupported,
        &[
            "a.proto:1:1: protobuf editions are not supported; declare `syntax = \"proto3\";` or \
           `syntax = \"proto2\";` instead of an edition",
        ],
    );
}

#[test]
fn a_file_outside_of_the_include_folders_names_them() {
    let error = refuse_with("include", "syntax = \"proto3\";\n", |builder| {
        builder.include(empty_folder("refuse-include-other"))
    });
    let text = error.to_string();
    assert!(
        text.contains("is not in any include path (looked in `"),
        "{text}"
    );
}

#[test]
fn a_missing_import_names_the_folders_and_the_setting() {
    let folder = folder_of(
        "refuse-import",
        &[(
            "b.proto",
            "syntax = \"proto3\";\nimport \"no/such.proto\";\n",
        )],
    );
    let error = configure()
        .out_dir(folder.join("out"))
        .compile(folder.join("b.proto"))
        .expect_err("the import is not there");
    let text = error.to_string();
    assert!(
        text.contains("b.proto:2:1: import 'no/such.proto' not found (looked in `"),
        "{text}"
    );
    assert!(text.ends_with("; `configure().include(..)` names the folder that imports start at)"));
    assert_eq!(error.kind(), ErrorKind::Proto);
}

#[test]
fn a_cycle_of_imports_is_shown() {
    let folder = folder_of(
        "refuse-cycle",
        &[
            ("a.proto", "syntax = \"proto3\";\nimport \"b.proto\";\n"),
            ("b.proto", "syntax = \"proto3\";\nimport \"a.proto\";\n"),
        ],
    );
    let error = configure()
        .out_dir(folder.join("out"))
        .compile(folder.join("a.proto"))
        .expect_err("the files import each other");
    assert_eq!(
        error.to_string(),
        "import cycle detected: a.proto -> b.proto -> a.proto"
    );
}

#[test]
fn a_missing_file_says_where_paths_start() {
    let error = configure()
        .out_dir(empty_folder("refuse-missing"))
        .compile("proto/missing.proto")
        .expect_err("there is no file");
    assert_eq!(
        error.to_string(),
        format!(
            "proto/missing.proto: no such file (relative paths start at {})",
            env!("CARGO_MANIFEST_DIR")
        )
    );
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn a_message_called_as_a_generated_struct_collides() {
    let error = refuse(
        "client",
        "syntax = \"proto3\";\npackage p;\nmessage GreeterClient {}\nenum GreeterServer { A = 0; }\n\
         service Greeter {}\n",
    );
    let fix = "`configure().rename_service(\"p.Greeter\", \"..\")` gives the service another name";
    let server = format!("would both be `GreeterServer` in Rust; {fix}");
    let client = format!("would both be `GreeterClient` in Rust; {fix}");
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains(
            "a.proto:5:1: the server of service `p.Greeter` and enum `p.GreeterServer` ("
        )
    );
    assert!(lines[0].contains("a.proto:4:1) would"), "{text}");
    assert!(lines[0].ends_with(&server), "{text}");
    assert!(lines[1].contains(
        "a.proto:5:1: the client of service `p.Greeter` and message `p.GreeterClient` ("
    ));
    assert!(lines[1].ends_with(&client), "{text}");
    assert_eq!(error.kind(), ErrorKind::Name);
}

#[test]
fn methods_of_one_name_collide() {
    let error = refuse(
        "methods",
        "syntax = \"proto3\";\nmessage A {}\nservice S {\n  rpc GetIt(A) returns (A);\n  \
         rpc get_it(A) returns (A);\n}\n",
    );
    let text = error.to_string();
    assert!(
        text.contains("a.proto:5:3: methods `S.get_it` and `S.GetIt` ("),
        "{text}"
    );
    assert!(
        text.ends_with(
            "a.proto:4:3) would both be `get_it` in Rust; `configure().rename_method(\"S.get_it\", \"..\")` \
             gives one another name"
        ),
        "{text}"
    );
}

#[test]
fn services_and_messages_of_one_name_collide() {
    let error = refuse(
        "services",
        "syntax = \"proto3\";\nmessage user_list {}\nservice UserList {}\n",
    );
    let text = error.to_string();
    assert!(
        text.contains("a.proto:3:1: the trait of service `UserList` and message `user_list` ("),
        "{text}"
    );
    assert!(text.contains("would both be `UserList` in Rust"), "{text}");
}

#[test]
fn what_prost_could_not_tell_apart_collides() {
    let error = refuse(
        "prost",
        "syntax = \"proto2\";\npackage p;\nmessage user_list {}\nmessage UserList {\n  \
         optional int32 a = 1;\n  optional int32 A_ = 2;\n  \
         oneof kind { int32 x = 3; int32 X_ = 4; }\n  \
         message b {}\n  enum B { C = 0; }\n}\nenum Level { LEVEL_LOW = 0; LOW = 1; ALSO_LOW = 2; }\n",
    );
    let fix = |parent: &str| {
        format!(
            "rename one in the .proto file, or define `{parent}` elsewhere with \
             `configure().extern_path(..)`"
        )
    };
    assert_text(
        &error,
        ErrorKind::Name,
        &[
            &format!(
                "a.proto:6:3: field `A_` and field `a` of `p.UserList` would both be `a` in Rust; {}",
                fix("p.UserList")
            ),
            &format!(
                "a.proto:7:29: field `X_` and field `x` of `p.UserList` would both be `X` in Rust; {}",
                fix("p.UserList")
            ),
            &format!(
                "a.proto:9:3: enum `B` and message `b` of `p.UserList` would both be `B` in Rust; {}",
                fix("p.UserList")
            ),
            &format!(
                "a.proto:11:29: value `LOW` and value `LEVEL_LOW` of `p.Level` would both be `Low` in \
                 Rust; {}",
                fix("p.Level")
            ),
            "a.proto:4:1: message `p.UserList` and message `p.user_list` would both be `UserList` in Rust; \
             rename one in the .proto file, or define one elsewhere with `configure().extern_path(..)`",
        ],
    );
}

#[test]
fn packages_of_one_module_are_refused() {
    let folder = folder_of(
        "refuse-packages",
        &[
            ("a.proto", "syntax = \"proto3\";\npackage a.Bc;\n"),
            ("b.proto", "syntax = \"proto3\";\npackage a.bc;\n"),
        ],
    );
    let error = configure()
        .out_dir(folder.join("out"))
        .compile([folder.join("a.proto"), folder.join("b.proto")])
        .expect_err("both are one module");
    let text = error.to_string();
    assert!(
        text.ends_with(
            "packages `a.Bc` and `a.bc` would be one Rust module; write both the same way"
        ),
        "{text}"
    );
}

#[test]
fn renames_are_checked() {
    let proto = "syntax = \"proto3\";\nmessage A {}\nservice S {\n  rpc Get(A) returns (A);\n}\n";
    let error = refuse_with("renames", proto, |builder| {
        builder
            .rename_service("p.S", "Other")
            .rename_service("S", "other")
            .rename_method("S.Get", "match")
    });
    assert_text(
        &error,
        ErrorKind::Config,
        &[
            "rename_service: `other` is no name of a Rust type such as `Greeter`",
            "rename_service: there is no service `p.S`",
            "rename_method: `match` is no name of a Rust function such as `say_hello`",
        ],
    );
    let error = refuse_with("rename-new", proto, |builder| {
        builder.rename_method("S.Get", "new")
    });
    assert_text(
        &error,
        ErrorKind::Config,
        &["rename_method: `new` is a function that every client has; choose another name"],
    );
    let error = refuse_with("rename-none", proto, |builder| {
        builder.rename_method("S.Gte", "get")
    });
    assert_text(
        &error,
        ErrorKind::Config,
        &["rename_method: there is no method `S.Gte`"],
    );
}

#[test]
fn paths_that_mean_nothing_are_refused() {
    let proto = "syntax = \"proto3\";\npackage p;\nmessage A {}\nservice S {\n  rpc Get(A) returns (A);\n}\n";
    let error = refuse_with("paths", proto, |builder| {
        builder
            .trait_attribute(".", "#[must_use]")
            .trait_attribute("T", "#[must_use]")
            .server_attribute(".q", "#[must_use]")
            .client_attribute("S.Get", "#[must_use]")
            .max_request("S", 1)
            .max_response("/p.S/Get", 1)
            .max_response(".p.S", 1)
    });
    assert_text(
        &error,
        ErrorKind::Config,
        &[
            "trait_attribute: there is no service `T`",
            "server_attribute: there is no service `.q`",
            "client_attribute: there is no service `S.Get`",
            "max_request: there is no method `S`",
            "max_response: there is no method `/p.S/Get`",
        ],
    );
}

#[test]
fn a_message_called_as_the_mock_collides() {
    let proto = "syntax = \"proto3\";\nmessage MockS {}\nservice S {}\n";
    let error = refuse_with("mock", proto, |builder| builder.mock(true));
    let text = error.to_string();
    assert!(
        text.contains("a.proto:3:1: the mock of service `S` and message `MockS` ("),
        "{text}"
    );
    assert!(
        text.contains("would both be `MockS` in Rust; `configure().rename_service(\"S\", \"..\")`")
    );
}

#[test]
fn wrong_settings_are_errors_and_no_panics() {
    let proto = "syntax = \"proto3\";\nmessage A {}\n";
    let error = refuse_with("attribute", proto, |builder| {
        builder.type_attribute("A", "#[derive(")
    });
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().starts_with(
            "the code could not be generated; if attributes are set, check that each is valid \
             Rust such as `#[derive(Eq)]`: "
        ),
        "{error}"
    );
    let error = refuse_with("extern", proto, |builder| {
        builder.extern_path("a", "crate::a")
    });
    assert_text(
        &error,
        ErrorKind::Config,
        &["Protobuf paths must be fully qualified (begin with a leading '.'): a"],
    );
    let error = configure()
        .compile([""; 0])
        .expect_err("there is nothing to do");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "OUT_DIR is not set: call this from build.rs, or set `configure().out_dir(..)`"
    );
    let error = configure()
        .out_dir(empty_folder("refuse-none"))
        .compile([""; 0])
        .expect_err("there is nothing to do");
    assert_eq!(error.to_string(), "no .proto file was given to compile");
}
