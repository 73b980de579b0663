//! The settings, and what `build.rs` calls.

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::{env, fs};

use prost_build::Module;

use crate::docs::Docs;
use crate::error::{Error, ErrorKind, Result};
use crate::generator::Generator;
use crate::model::{Limit, Model, Part, Parts, Settings};
use crate::output;
use crate::protos::Protos;
use crate::source::Sources;

const PROST: &str = "::iip_rpc::codegen::prost";
const PROST_TYPES: &str = "::iip_rpc::codegen::prost_types";

/// An attribute for every type: a program need not use all that a .proto file declares.
const TYPE_LINTS: &str = "#[allow(dead_code)]";

/// An attribute for enums, oneofs included: the .proto file decides names and sizes.
const ENUM_LINTS: &str = "#[allow(clippy::enum_variant_names, clippy::large_enum_variant)]";

/// Generates code for one .proto file or several, with default settings.
///
/// Called from build.rs. Relative paths start at the folder of Cargo.toml. Everything that the files import
/// is found from the folder of the files on outward; [`Builder::include`] names folders instead. Cargo runs
/// the build script again when one of the files changes, imported ones included.
///
/// # Errors
///
/// The files are not valid protobuf, or use what is not supported, or Rust names collide, or a file could
/// not be read or written. The error's text says where and what helps.
pub fn compile(protos: impl Protos) -> Result {
    configure().compile(protos)
}

/// Settings with their defaults, to be changed and then used with [`Builder::compile`].
pub fn configure() -> Builder {
    Builder {
        out_dir: None,
        include_file: None,
        includes: Vec::new(),
        client: true,
        server: true,
        default_stubs: false,
        mock: false,
        file_descriptor_set: false,
        well_known_types: WellKnownTypes::Ready,
        services: BTreeMap::new(),
        methods: BTreeMap::new(),
        extern_paths: Vec::new(),
        limits: Vec::new(),
        attributes: Vec::new(),
        service_attributes: Vec::new(),
        bytes: Vec::new(),
        btree_maps: Vec::new(),
        boxed: Vec::new(),
    }
}

/// Where the types of `google.protobuf` come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WellKnownTypes {
    /// Ready-made, from the crate prost-types: `Timestamp` and `Any` with conversions, `Empty` as `()`,
    /// wrappers such as `StringValue` as `String`.
    #[default]
    Ready,
    /// Generated like all others, as the package `google.protobuf`.
    Compile,
}

#[derive(Clone, Copy, Debug)]
enum On {
    Type,
    Message,
    Enum,
    Field,
}

/// The settings of code generation, each with a default that suits most.
///
/// Paths of protobuf items are those of prost: `.package.Message` with a leading dot and everything below
/// it, `Message` or `Message.field` without one wherever the name ends so, `.` for all. Services and methods have
/// such paths too: `.package.Service`, `Service.Method`.
#[derive(Clone, Debug)]
#[must_use = "nothing is generated until `compile` is called"]
pub struct Builder {
    out_dir: Option<PathBuf>,
    include_file: Option<String>,
    includes: Vec<PathBuf>,
    client: bool,
    server: bool,
    default_stubs: bool,
    mock: bool,
    file_descriptor_set: bool,
    well_known_types: WellKnownTypes,
    services: BTreeMap<String, String>,
    methods: BTreeMap<String, String>,
    extern_paths: Vec<(String, String)>,
    limits: Vec<Limit>,
    attributes: Vec<(On, String, String)>,
    service_attributes: Vec<(Part, String, String)>,
    bytes: Vec<String>,
    btree_maps: Vec<String>,
    boxed: Vec<String>,
}

impl Builder {
    /// The folder that the code is written to; it is created if it is missing. Default: `OUT_DIR`, where
    /// `iip_rpc::include_proto!` looks.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Also writes a file of that name with all packages as nested modules, for
    /// `include!(concat!(env!("OUT_DIR"), "/name.rs"));`. Default: none.
    pub fn include_file(mut self, name: impl Into<String>) -> Self {
        self.include_file = Some(name.into());
        self
    }

    /// Adds a folder that imports start at. Default: the one under which all imports are found, tried from
    /// the folder of the files outward to the one of Cargo.toml. With the first folder that is
    /// added this search ends, and every file must lie in one of the folders.
    pub fn include(mut self, folder: impl Into<PathBuf>) -> Self {
        self.includes.push(folder.into());
        self
    }

    /// Adds several folders as [`include`](Self::include) does.
    pub fn includes<P: Into<PathBuf>>(mut self, folders: impl IntoIterator<Item = P>) -> Self {
        self.includes.extend(folders.into_iter().map(Into::into));
        self
    }

    /// Whether clients are generated. Default: yes.
    pub fn build_client(mut self, yes: bool) -> Self {
        self.client = yes;
        self
    }

    /// Whether traits and servers are generated. Default: yes.
    pub fn build_server(mut self, yes: bool) -> Self {
        self.server = yes;
        self
    }

    /// Gives every method of a trait a body that answers `UNIMPLEMENTED`, so that an implementation may leave
    /// methods out, and still compiles when the .proto file gets new ones. Default: no.
    pub fn default_stubs(mut self, yes: bool) -> Self {
        self.default_stubs = yes;
        self
    }

    /// Also generates for each service a `MockGreeter`, which tests give to a client in place of a channel:
    /// `on_say_hello(|request| async { .. })` says how a method answers, and those without an answer are
    /// `UNIMPLEMENTED`. Default: no.
    pub fn mock(mut self, yes: bool) -> Self {
        self.mock = yes;
        self
    }

    /// Also puts into each package's module a constant `FILE_DESCRIPTOR_SET: &[u8]`: the package's files and all
    /// that they import, as an encoded `google.protobuf.FileDescriptorSet` with custom options and without
    /// comments. It lies in a file `package.binpb` beside the code. Default: no.
    pub fn file_descriptor_set(mut self, yes: bool) -> Self {
        self.file_descriptor_set = yes;
        self
    }

    /// The largest message of a request, bytes, encoded and before compression, for the methods that the path
    /// means. The client sends none that is larger; the server sets no more aside for one, and refuses it before its
    /// handler sees it. It does not raise what the server accepts at all. Where several paths mean a method the last one
    /// counts. Default: none beside the server's `max_message`.
    pub fn max_request(mut self, path: impl Into<String>, bytes: usize) -> Self {
        self.limits.push(Limit::request(path.into(), bytes));
        self
    }

    /// The largest message of a response, as [`max_request`](Self::max_request) for a request; the server sends none that
    /// is larger, and the client refuses it once it is there. Default: none beside the channel's `max_message`.
    pub fn max_response(mut self, path: impl Into<String>, bytes: usize) -> Self {
        self.limits.push(Limit::response(path.into(), bytes));
        self
    }

    /// Where the types of `google.protobuf` come from. Default: [`WellKnownTypes::Ready`].
    pub fn well_known_types(mut self, choice: WellKnownTypes) -> Self {
        self.well_known_types = choice;
        self
    }

    /// Calls the trait of the service `package.Service` by another name in Rust; `NameServer` and
    /// `NameClient` follow. The name on the wire stays.
    pub fn rename_service(mut self, service: impl Into<String>, name: impl Into<String>) -> Self {
        self.services.insert(service.into(), name.into());
        self
    }

    /// Calls the method `package.Service.Method` by another name in Rust. The name on the wire stays.
    pub fn rename_method(mut self, method: impl Into<String>, name: impl Into<String>) -> Self {
        self.methods.insert(method.into(), name.into());
        self
    }

    /// Uses types that exist already: `extern_path(".common", "::common_protos")` for a package,
    /// `extern_path(".common.Id", "crate::Id")` for one type. They must be prost messages. Services of an
    /// imported file whose package is elsewhere are not generated again.
    pub fn extern_path(mut self, proto: impl Into<String>, rust: impl Into<String>) -> Self {
        self.extern_paths.push((proto.into(), rust.into()));
        self
    }

    /// Puts an attribute on messages, enums and oneofs.
    pub fn type_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.attribute(On::Type, path, attribute)
    }

    /// Puts an attribute on messages only.
    pub fn message_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.attribute(On::Message, path, attribute)
    }

    /// Puts an attribute on enums and oneofs only.
    pub fn enum_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.attribute(On::Enum, path, attribute)
    }

    /// Puts an attribute on fields, and on values of enums.
    pub fn field_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.attribute(On::Field, path, attribute)
    }

    /// Puts an attribute on the traits of services.
    pub fn trait_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.service_attribute(Part::Trait, path, attribute)
    }

    /// Puts an attribute on the structs that serve.
    pub fn server_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.service_attribute(Part::Server, path, attribute)
    }

    /// Puts an attribute on the structs that call.
    pub fn client_attribute(self, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.service_attribute(Part::Client, path, attribute)
    }

    fn service_attribute(
        mut self,
        part: Part,
        path: impl Into<String>,
        attribute: impl Into<String>,
    ) -> Self {
        self.service_attributes
            .push((part, path.into(), attribute.into()));
        self
    }

    fn attribute(mut self, on: On, path: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.attributes.push((on, path.into(), attribute.into()));
        self
    }

    /// Makes `bytes` fields `Bytes`, which decoding does not copy, in place of `Vec<u8>`.
    pub fn bytes<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.bytes.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Makes `map` fields `BTreeMap`, in place of `HashMap`.
    pub fn btree_map<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.btree_maps.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Puts a message field into a `Box`; those of recursive messages are in one anyway.
    pub fn boxed(mut self, path: impl Into<String>) -> Self {
        self.boxed.push(path.into());
        self
    }

    /// Generates the code of one .proto file or several, and of all that they import.
    ///
    /// # Errors
    ///
    /// As for [`compile`].
    pub fn compile(self, protos: impl Protos) -> Result {
        let root = env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .map_or_else(env::current_dir, Ok)
            .map_err(|error| Error::new(ErrorKind::Io, format!("the current folder: {error}")))?;
        let (folder, in_out_dir) = match (&self.out_dir, env::var_os("OUT_DIR")) {
            (Some(folder), _) => (root.join(folder), false),
            (None, Some(folder)) => (PathBuf::from(folder), true),
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "OUT_DIR is not set: call this from build.rs, or set `configure().out_dir(..)`",
                ));
            }
        };
        let mut sources = Sources::read(&root, &protos.into_paths(), &self.includes)?;
        if self.file_descriptor_set {
            sources.describe();
        }
        tell_cargo(&sources.read);
        let files = self.generate(&mut sources)?;
        fs::create_dir_all(&folder)
            .map_err(|error| Error::new(ErrorKind::Io, format!("{}: {error}", folder.display())))?;
        let mut tree = Vec::new();
        for file in files {
            output::write(&folder, &file.name, file.text.as_bytes())?;
            if let Some((name, set)) = &file.descriptors {
                output::write(&folder, name, set)?;
            }
            tree.push((file.module, file.name));
        }
        match &self.include_file {
            Some(name) => {
                let text = output::include_tree(&tree, in_out_dir);
                output::write(&folder, name, text.as_bytes())
            }
            None => Ok(()),
        }
    }

    /// The text of every file, sorted by module.
    fn generate(&self, sources: &mut Sources) -> Result<Vec<File>> {
        let mut config = self.prost_config();
        if self.client || self.server || self.mock {
            let model = Model::resolve(sources, &self.settings())?;
            config.service_generator(Box::new(Generator::new(model, self.parts())));
        }
        let docs = Docs::take(&mut sources.files);
        let mut packages: BTreeMap<Module, String> = BTreeMap::new();
        let mut requests = Vec::new();
        for file in std::mem::take(&mut sources.files.file) {
            let module = Module::from_protobuf_package_name(file.package());
            packages.insert(module.clone(), file.package().to_owned());
            requests.push((module, file));
        }
        let mut code = run(&mut config, requests)?;
        let mut files = Vec::new();
        for (module, package) in packages {
            let finished = code
                .remove(&module)
                .and_then(|code| output::finish(&code, &package, &docs));
            let Some(mut text) = finished else {
                continue;
            };
            let name = if package.is_empty() { "_" } else { &package };
            let mut descriptors = None;
            if self.file_descriptor_set {
                let file = format!("{name}.binpb");
                text.push_str(&output::file_descriptor_set(&file));
                descriptors = Some((file, sources.descriptor_set(&package)));
            }
            files.push(File {
                module: module.parts().map(str::to_owned).collect(),
                name: format!("{name}.rs"),
                text,
                descriptors,
            });
        }
        Ok(files)
    }

    fn parts(&self) -> Parts {
        Parts {
            client: self.client,
            server: self.server,
            default_stubs: self.default_stubs,
            mock: self.mock,
        }
    }

    fn settings(&self) -> Settings<'_> {
        let paths = self.extern_paths.iter().map(|(proto, _)| proto.as_str());
        let mut elsewhere: Vec<&str> = paths.collect();
        if self.well_known_types == WellKnownTypes::Ready {
            elsewhere.push(".google.protobuf");
        }
        Settings {
            services: &self.services,
            methods: &self.methods,
            limits: &self.limits,
            attributes: &self.service_attributes,
            parts: self.parts(),
            elsewhere,
        }
    }

    fn prost_config(&self) -> prost_build::Config {
        let mut config = prost_build::Config::new();
        config.prost_path(PROST).prost_types_path(PROST_TYPES);
        config.type_attribute(".", TYPE_LINTS);
        config.enum_attribute(".", ENUM_LINTS);
        config.bytes(&self.bytes).btree_map(&self.btree_maps);
        if self.well_known_types == WellKnownTypes::Compile {
            config.compile_well_known_types();
        }
        for (proto, rust) in &self.extern_paths {
            config.extern_path(proto, rust);
        }
        for path in &self.boxed {
            config.boxed(path);
        }
        for (on, path, attribute) in &self.attributes {
            match on {
                On::Type => config.type_attribute(path, attribute),
                On::Message => config.message_attribute(path, attribute),
                On::Enum => config.enum_attribute(path, attribute),
                On::Field => config.field_attribute(path, attribute),
            };
        }
        config
    }
}

/// One generated file.
struct File {
    /// The module that it is the content of.
    module: Vec<String>,
    name: String,
    text: String,
    /// The name and the content of the file with its descriptors.
    descriptors: Option<(String, Vec<u8>)>,
}

type Request = (Module, prost_types::FileDescriptorProto);

/// Runs prost, which reports some problems by a panic.
fn run(
    config: &mut prost_build::Config,
    requests: Vec<Request>,
) -> Result<std::collections::HashMap<Module, String>> {
    let generated = catch_unwind(AssertUnwindSafe(|| config.generate(requests)));
    match generated {
        Ok(Ok(code)) => Ok(code),
        Ok(Err(error)) => Err(Error::new(ErrorKind::Config, error.to_string())),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(Error::new(
                ErrorKind::Config,
                format!(
                    "the code could not be generated; if attributes are set, check that each \
                     is valid Rust such as `#[derive(Eq)]`: {text}"
                ),
            ))
        }
    }
}

/// Has cargo run the build script again when a file changes. Outside of a build script nobody listens.
fn tell_cargo(read: &[PathBuf]) {
    if env::var_os("CARGO_CFG_TARGET_OS").is_none() {
        return;
    }
    let mut lines = String::new();
    for path in read {
        lines.push_str(&format!("cargo:rerun-if-changed={}\n", path.display()));
    }
    // If cargo no longer listens, the build has ended already.
    let _ = std::io::stdout().write_all(lines.as_bytes());
}
