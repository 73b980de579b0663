//! What is generated for services, with every name decided and every collision found, before any code
//! is written.

use std::collections::{BTreeMap, HashMap};

use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};

use crate::error::{Error, ErrorKind};
use crate::ident::{full_name, is_function, is_type, to_constant, to_snake, to_upper_camel};
use crate::messages;
use crate::selector::selects;
use crate::source::{Sources, location, position};

/// Functions that the client struct has anyway, and `clone`, which it would hide.
const TAKEN_BY_THE_CLIENT: &[&str] = &["new", "connect", "clone"];

/// Field numbers of descriptor.proto that make up the path of a location.
const MESSAGE: i32 = 4;
const ENUM: i32 = 5;
const SERVICE: i32 = 6;
const METHOD: i32 = 2;

/// The settings that services depend on.
pub(crate) struct Settings<'a> {
    pub(crate) services: &'a BTreeMap<String, String>,
    pub(crate) methods: &'a BTreeMap<String, String>,
    pub(crate) limits: &'a [Limit],
    /// What gets an attribute, the path of its service, the attribute.
    pub(crate) attributes: &'a [(Part, String, String)],
    pub(crate) parts: Parts,
    /// Packages and types that are defined elsewhere, each with a leading dot.
    pub(crate) elsewhere: Vec<&'a str>,
}

/// What is generated of a service.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) default_stubs: bool,
    pub(crate) mock: bool,
}

/// What an attribute is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Trait,
    Server,
    Client,
}

/// How large messages of some methods may be, bytes, in one direction.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    path: String,
    bytes: usize,
    of_request: bool,
}

impl Limit {
    pub(crate) fn request(path: String, bytes: usize) -> Self {
        let of_request = true;
        Self {
            path,
            bytes,
            of_request,
        }
    }

    pub(crate) fn response(path: String, bytes: usize) -> Self {
        let of_request = false;
        Self {
            path,
            bytes,
            of_request,
        }
    }
}

/// The services of all files, by full protobuf name.
pub(crate) struct Model {
    services: HashMap<String, Service>,
}

/// One service.
pub(crate) struct Service {
    /// `helloworld.Greeter`
    pub(crate) full_name: String,
    /// `Greeter`, the trait; the structs are called after it.
    pub(crate) name: String,
    /// The type parameter of the server's constructors, called as nothing else in the package is.
    pub(crate) handler: String,
    /// The type parameter of the client, likewise.
    pub(crate) channel: String,
    /// The type parameter of the mock's functions, likewise.
    pub(crate) future: String,
    pub(crate) deprecated: bool,
    attributes: Vec<(Part, String)>,
    pub(crate) methods: Vec<Method>,
}

/// How many messages each side of a call sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidirectional,
}

/// One method.
pub(crate) struct Method {
    /// `SayHello`
    pub(crate) proto_name: String,
    /// `say_hello`, in the trait.
    pub(crate) name: String,
    /// `SAY_HELLO`, the descriptor.
    pub(crate) constant: String,
    /// `/helloworld.Greeter/SayHello`
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// The largest message of a request, bytes.
    pub(crate) max_request: Option<usize>,
    /// The largest message of a response, bytes.
    pub(crate) max_response: Option<usize>,
    pub(crate) idempotency: IdempotencyLevel,
    pub(crate) deprecated: bool,
}

impl Method {
    /// Attributes for a function whose name clippy has expectations of.
    pub(crate) fn lints(&self) -> &'static str {
        if self.name.starts_with("from_") || self.name.starts_with("into_") {
            "#[allow(clippy::wrong_self_convention)]\n"
        } else {
            ""
        }
    }
}

impl Service {
    pub(crate) fn client(&self) -> String {
        format!("{}Client", self.name)
    }

    pub(crate) fn server(&self) -> String {
        format!("{}Server", self.name)
    }

    pub(crate) fn mock(&self) -> String {
        format!("Mock{}", self.name)
    }

    /// The attributes that the settings put on a part, a line each.
    pub(crate) fn attributes(&self, part: Part) -> String {
        let attributes = self.attributes.iter().filter(|(on, _)| *on == part);
        attributes.map(|(_, text)| format!("{text}\n")).collect()
    }

    /// The module of the descriptors. prost ends no module's name with an underscore, but for keywords.
    pub(crate) fn descriptors(&self) -> String {
        let snake = to_snake(&self.name);
        format!("{}_methods_", snake.trim_start_matches("r#"))
    }
}

impl Model {
    /// Decides all names, or says everything that is in the way.
    pub(crate) fn resolve(sources: &Sources, settings: &Settings<'_>) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let mut packages: BTreeMap<Vec<String>, Package> = BTreeMap::new();
        for file in &sources.files.file {
            let module = file.package().split('.').map(to_snake).collect();
            packages
                .entry(module)
                .or_default()
                .add_file(sources, file, settings, &mut problems);
        }
        let mut services = HashMap::new();
        for package in packages.into_values() {
            services.extend(package.finish());
        }
        problems.check_settings(settings, &services);
        if problems.texts.is_empty() {
            problems.check_paths(settings, &services);
        }
        problems.into_result()?;
        Ok(Self { services })
    }

    /// The service of the given full name; none where nothing is generated for it.
    pub(crate) fn service(&self, full_name: &str) -> Option<&Service> {
        self.services.get(full_name)
    }
}

/// What one Rust module holds.
#[derive(Default)]
struct Package {
    /// The package as the first file writes it.
    name: Option<String>,
    /// What has taken a name, and where.
    taken: BTreeMap<String, (String, String)>,
    services: Vec<Service>,
}

impl Package {
    fn add_file(
        &mut self,
        sources: &Sources,
        file: &FileDescriptorProto,
        settings: &Settings<'_>,
        problems: &mut Problems,
    ) {
        let shown = sources.shown(file);
        messages::check(shown, file, |problem| problems.name(problem));
        let first = self.name.get_or_insert_with(|| file.package().to_owned());
        if first != file.package() {
            problems.name(format!(
                "{shown}: packages `{first}` and `{}` would be one Rust module; write both the same way",
                file.package()
            ));
        }
        for (index, message) in file.message_type.iter().enumerate() {
            let place = location(shown, file, &[MESSAGE, position(index)]);
            self.take_type(
                file,
                message.name(),
                "message",
                place.clone(),
                settings,
                problems,
            );
        }
        for (index, enumeration) in file.enum_type.iter().enumerate() {
            let place = location(shown, file, &[ENUM, position(index)]);
            self.take_type(file, enumeration.name(), "enum", place, settings, problems);
        }
        for (index, service) in file.service.iter().enumerate() {
            let at = position(index);
            if sources.is_imported(file) && settings.is_elsewhere(file.package(), service.name()) {
                continue;
            }
            self.add_service(shown, file, at, service, settings, problems);
        }
    }

    fn take_type(
        &mut self,
        file: &FileDescriptorProto,
        name: &str,
        sort: &str,
        place: String,
        settings: &Settings<'_>,
        problems: &mut Problems,
    ) {
        if settings.is_elsewhere(file.package(), name) {
            return;
        }
        let what = format!("{sort} `{}`", full_name(file.package(), name));
        let rust = to_upper_camel(name);
        if let Some((other, _)) = self.taken.get(&rust) {
            problems.name(format!(
                "{place}: {what} and {other} would both be `{rust}` in Rust; rename one in the .proto \
                 file, or define one elsewhere with `configure().extern_path(..)`"
            ));
        } else {
            self.taken.insert(rust, (what, place));
        }
    }

    fn add_service(
        &mut self,
        shown: &str,
        file: &FileDescriptorProto,
        at: i32,
        service: &ServiceDescriptorProto,
        settings: &Settings<'_>,
        problems: &mut Problems,
    ) {
        let full = full_name(file.package(), service.name());
        let place = location(shown, file, &[SERVICE, at]);
        let name = match settings.services.get(&full) {
            Some(name) => name.clone(),
            None => to_upper_camel(service.name()),
        };
        let mut methods = Methods::default();
        for (index, method) in service.method.iter().enumerate() {
            let place = location(shown, file, &[SERVICE, at, METHOD, position(index)]);
            methods.add(&full, place, method, settings, problems);
        }
        let options = service.options.clone().unwrap_or_default();
        let resolved = Service {
            full_name: full.clone(),
            name,
            handler: String::new(),
            channel: String::new(),
            future: String::new(),
            deprecated: options.deprecated(),
            attributes: settings.attributes_of(&full),
            methods: methods.resolved,
        };
        self.take_service(&resolved, &place, settings, problems);
        self.services.push(resolved);
    }

    fn take_service(
        &mut self,
        service: &Service,
        place: &str,
        settings: &Settings<'_>,
        problems: &mut Problems,
    ) {
        let full = &service.full_name;
        let mut names = vec![("module of descriptors", service.descriptors())];
        if settings.parts.server {
            names.push(("trait", service.name.clone()));
            names.push(("server", service.server()));
        }
        if settings.parts.client {
            names.push(("client", service.client()));
        }
        if settings.parts.mock {
            names.push(("mock", service.mock()));
        }
        for (part, rust) in names {
            let what = format!("the {part} of service `{full}`");
            if let Some((other, elsewhere)) = self.taken.get(&rust) {
                problems.name(format!(
                    "{place}: {what} and {other} ({elsewhere}) would both be `{rust}` in Rust; \
                     `configure().rename_service(\"{full}\", \"..\")` gives the service another name"
                ));
            } else {
                self.taken.insert(rust, (what, place.to_owned()));
            }
        }
    }

    /// Names the type parameters last, when all other names of the package are known.
    fn finish(self) -> impl Iterator<Item = (String, Service)> {
        let free = |wishes: [&str; 3]| {
            let free = wishes.iter().find(|wish| !self.taken.contains_key(**wish));
            // No protobuf name becomes one with an underscore inside.
            free.map_or_else(|| format!("{}_", wishes[0]), |free| (*free).to_owned())
        };
        let handler = free(["T", "H", "Handler"]);
        let channel = free(["S", "C", "Service"]);
        let future = free(["F", "Fut", "Answer"]);
        self.services.into_iter().map(move |mut service| {
            service.handler.clone_from(&handler);
            service.channel.clone_from(&channel);
            service.future.clone_from(&future);
            (service.full_name.clone(), service)
        })
    }
}

/// The methods of one service while they are named.
#[derive(Default)]
struct Methods {
    taken: BTreeMap<String, (String, String)>,
    resolved: Vec<Method>,
}

impl Methods {
    fn add(
        &mut self,
        service: &str,
        place: String,
        method: &MethodDescriptorProto,
        settings: &Settings<'_>,
        problems: &mut Problems,
    ) {
        let proto_name = method.name();
        let full = format!("{service}.{proto_name}");
        let name = match settings.methods.get(&full) {
            Some(name) => name.clone(),
            None => {
                let name = to_snake(proto_name);
                if TAKEN_BY_THE_CLIENT.contains(&name.as_str()) {
                    format!("{name}_")
                } else {
                    name
                }
            }
        };
        if name.is_empty() {
            problems.name(format!(
                "{place}: method `{full}` has no letter to name a function after; \
                 `configure().rename_method(\"{full}\", \"..\")` names it"
            ));
            return;
        }
        if let Some((other, elsewhere)) = self.taken.get(&name) {
            problems.name(format!(
                "{place}: methods `{full}` and `{other}` ({elsewhere}) would both be `{name}` in Rust; \
                 `configure().rename_method(\"{full}\", \"..\")` gives one another name"
            ));
            return;
        }
        let max_request = settings.limit(&full, true);
        let max_response = settings.limit(&full, false);
        self.taken.insert(name.clone(), (full, place));
        let options = method.options.clone().unwrap_or_default();
        self.resolved.push(Method {
            proto_name: proto_name.to_owned(),
            constant: to_constant(&name),
            path: format!("/{service}/{proto_name}"),
            kind: match (method.client_streaming(), method.server_streaming()) {
                (false, false) => Kind::Unary,
                (false, true) => Kind::ServerStreaming,
                (true, false) => Kind::ClientStreaming,
                (true, true) => Kind::Bidirectional,
            },
            max_request,
            max_response,
            idempotency: options.idempotency_level(),
            deprecated: options.deprecated(),
            name,
        });
    }
}

impl Settings<'_> {
    /// Whether the type or its package is defined elsewhere.
    fn is_elsewhere(&self, package: &str, name: &str) -> bool {
        let full = full_name(package, name);
        self.elsewhere.iter().any(|path| selects(path, &full))
    }

    /// The attributes on parts of the service.
    fn attributes_of(&self, service: &str) -> Vec<(Part, String)> {
        let chosen = self.attributes.iter();
        chosen
            .filter(|(_, path, _)| selects(path, service))
            .map(|(part, _, attribute)| (*part, attribute.clone()))
            .collect()
    }

    /// The limit of the method's messages in a direction.
    fn limit(&self, method: &str, of_request: bool) -> Option<usize> {
        let mut limits = self.limits.iter().rev();
        limits
            .find(|limit| limit.of_request == of_request && selects(&limit.path, method))
            .map(|limit| limit.bytes)
    }
}

/// Everything that is in the way, so that one build shows it all.
#[derive(Default)]
struct Problems {
    kind: Option<ErrorKind>,
    texts: Vec<String>,
}

impl Problems {
    fn name(&mut self, text: String) {
        self.kind.get_or_insert(ErrorKind::Name);
        self.texts.push(text);
    }

    fn config(&mut self, text: String) {
        self.kind.get_or_insert(ErrorKind::Config);
        self.texts.push(text);
    }

    /// A rename that names nothing is a typing mistake, and one that is no name breaks the code.
    fn check_settings(&mut self, settings: &Settings<'_>, services: &HashMap<String, Service>) {
        let is_method = |full: &str| {
            full.rsplit_once('.').is_some_and(|(service, method)| {
                services.get(service).is_some_and(|service| {
                    let mut methods = service.methods.iter();
                    methods.any(|known| known.proto_name == method)
                })
            })
        };
        for (from, to) in settings.services {
            if !services.contains_key(from) {
                self.config(format!("rename_service: there is no service `{from}`"));
            }
            if !is_type(to) {
                self.config(format!(
                    "rename_service: `{to}` is no name of a Rust type such as `Greeter`"
                ));
            }
        }
        for (from, to) in settings.methods {
            // A method whose new name is taken is not among the services; that has been reported.
            if self.texts.is_empty() && !is_method(from) {
                self.config(format!("rename_method: there is no method `{from}`"));
            }
            if !is_function(to) {
                self.config(format!(
                    "rename_method: `{to}` is no name of a Rust function such as `say_hello`"
                ));
            }
            if TAKEN_BY_THE_CLIENT.contains(&to.as_str()) {
                self.config(format!(
                    "rename_method: `{to}` is a function that every client has; choose another name"
                ));
            }
        }
    }

    /// A path that means no service or method is a typing mistake too.
    fn check_paths(&mut self, settings: &Settings<'_>, services: &HashMap<String, Service>) {
        for (part, path, _) in settings.attributes {
            if path != "." && !services.keys().any(|service| selects(path, service)) {
                let setting = match part {
                    Part::Trait => "trait_attribute",
                    Part::Server => "server_attribute",
                    Part::Client => "client_attribute",
                };
                self.config(format!("{setting}: there is no service `{path}`"));
            }
        }
        for limit in settings.limits {
            let mut names = services.values().flat_map(|service| {
                let names = service.methods.iter();
                names.map(|method| format!("{}.{}", service.full_name, method.proto_name))
            });
            if limit.path != "." && !names.any(|name| selects(&limit.path, &name)) {
                let setting = if limit.of_request {
                    "max_request"
                } else {
                    "max_response"
                };
                let path = &limit.path;
                self.config(format!("{setting}: there is no method `{path}`"));
            }
        }
    }

    fn into_result(self) -> Result<(), Error> {
        match self.kind {
            Some(kind) => Err(Error::new(kind, self.texts.join("\n"))),
            None => Ok(()),
        }
    }
}
