//! Objects as the API server sends them: each is decoded separately, and one that cannot be read says why.
//!
//! The schemas in `crds/` reject most of what could not be read. But stored objects may be older than the schemas, and neither
//! a schema nor the API server's own checks agree with the types here on every detail of numbers, times and base64.

mod json;

pub use json::Bounds;

use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde_json::{Map, Value, json};

use crate::http01_overrides::is_override;
use certwright_api::{Certificate, CertificateSpec, ClusterIssuer, ClusterIssuerSpec, Issuer, IssuerSpec};

/// The longest text of a [`Fault`], in characters.
const MAX_WORDS: usize = 500;
/// The maximum total size of the annotations to keep, in bytes.
const MAX_ANNOTATIONS: usize = 64 << 10;
/// The maximum number of unreadable parts that are removed one by one.
const MAX_CUTS: usize = 16;

/// A kind whose objects are decoded separately.
pub trait Readable: Resource<DynamicType = ()> + DeserializeOwned {
    /// Which parts are read.
    const BOUNDS: Bounds = Bounds { metadata_only: false, spec: 128 << 10, only: None, text: usize::MAX };

    /// An empty spec, to replace one that cannot be read.
    fn empty_spec() -> Value {
        json!({})
    }

    /// Whether an annotation with this name is needed.
    fn needs_annotation(_name: &str) -> bool {
        false
    }

    /// Whether a label with this name is needed.
    fn needs_label(_name: &str) -> bool {
        false
    }

    /// Whether the operator handles this object; if not, it does not matter whether it can be read.
    fn concerns_us(&self) -> bool {
        true
    }

    /// Removes metadata that is not needed, so that it is not kept in memory. `also` are names of annotations that the settings say
    /// are read.
    fn reduce(&mut self, _also: &[String]) {
        let metadata = self.meta_mut();
        if let Some(annotations) = &mut metadata.annotations {
            let mut left = MAX_ANNOTATIONS;
            annotations.retain(|name, value| {
                Self::needs_annotation(name) && {
                    let fits = left >= name.len() + value.len();
                    left = left.saturating_sub(name.len() + value.len());
                    fits
                }
            });
        }
        if let Some(labels) = &mut metadata.labels {
            labels.retain(|name, _| Self::needs_label(name));
        }
        metadata.managed_fields = None;
    }
}

/// An object, and which parts of it cannot be read.
#[derive(Clone, Debug)]
pub struct Reading<K> {
    /// The object. If it has a [`Reading::fault`], only its metadata and its status are real.
    pub object: K,
    /// Why it cannot be used.
    pub fault: Option<Fault>,
    /// Why its status is not complete. The unreadable parts are left out.
    pub status_fault: Option<Fault>,
}

/// A part of an object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Path of the field, such as `spec.renewBefore`.
    pub path: String,
    /// What is wrong with it.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.words),
            path => write!(f, "{path}: {}", self.words),
        }
    }
}

impl<K> Reading<K> {
    /// The object, or why it cannot be used.
    ///
    /// # Errors
    /// [`Reading::fault`]
    pub fn usable(self) -> Result<K, Fault> {
        self.fault.map_or(Ok(self.object), Err)
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Reading<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(_: &()) -> std::borrow::Cow<'_, str> {
        K::kind(&())
    }

    fn group(_: &()) -> std::borrow::Cow<'_, str> {
        K::group(&())
    }

    fn version(_: &()) -> std::borrow::Cow<'_, str> {
        K::version(&())
    }

    fn api_version(_: &()) -> std::borrow::Cow<'_, str> {
        K::api_version(&())
    }

    fn plural(_: &()) -> std::borrow::Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

impl<'de, K: Readable> Deserialize<'de> for Reading<K> {
    /// Fails only if it is not an object.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (object, passed_over) = json::read(deserializer, K::BOUNDS)?;
        let reading = read::<K>(object, passed_over);
        let mut reading = reading.ok_or_else(|| D::Error::custom("not an object of the Kubernetes API"))?;
        if !reading.object.concerns_us() {
            (reading.fault, reading.status_fault) = (None, None);
        }
        Ok(reading)
    }
}

/// Reads an object. `passed_over` is a field that is incomplete, because it is too deep or too large.
fn read<K: Readable>(object: Map<String, Value>, passed_over: Option<Fault>) -> Option<Reading<K>> {
    let whole = Value::Object(object);
    if passed_over.is_none()
        && let Ok(object) = K::deserialize(&whole)
    {
        return Some(Reading { object, fault: None, status_fault: None });
    }
    let Value::Object(mut object) = whole else { return None };
    let (in_status, elsewhere) = match passed_over {
        Some(fault) if is_within(&fault.path, "status") => (Some(fault), None),
        other => (None, other),
    };
    // The status and the spec are decoded separately, so that a mistake in one does not affect the other.
    let spec = object.insert("spec".to_owned(), K::empty_spec());
    let (bare, in_metadata, status_fault) = match cut::<K>(&mut object, "status") {
        Ok((bare, status_fault)) => (bare, None, status_fault),
        Err(fault) => {
            object.insert("metadata".to_owned(), Value::Object(name_of(&object)));
            let (bare, status_fault) = cut::<K>(&mut object, "status").ok()?;
            (bare, Some(fault), status_fault)
        }
    };
    let status_fault = status_fault.or(in_status);
    match spec {
        Some(spec) => object.insert("spec".to_owned(), spec),
        None => object.remove("spec"),
    };
    let whole = Value::Object(object);
    let read = attempt::<K>(&whole);
    let fault = in_metadata.or(elsewhere).or(read.as_ref().err().cloned());
    let object = match (fault, read) {
        (None, Ok(object)) => object,
        // An object that is being deleted needs only the readable parts of its spec, which say how to end.
        (Some(_), read) if bare.meta().deletion_timestamp.is_some() => {
            let Value::Object(mut object) = whole else { return None };
            read.ok().or_else(|| Some(cut::<K>(&mut object, "spec").ok()?.0)).unwrap_or(bare)
        }
        (fault, _) => return Some(Reading { object: bare, fault, status_fault }),
    };
    Some(Reading { object, fault: None, status_fault })
}

/// Reads an object; on an error, returns the field that cannot be read.
fn attempt<K: DeserializeOwned>(object: &Value) -> Result<K, Fault> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        Fault::new(if path == "." { "" } else { &path }, &error.into_inner().to_string())
    })
}

/// Reads an object without the unreadable parts of its field `root`: items of lists, otherwise fields.
fn cut<K: DeserializeOwned>(
    object: &mut Map<String, Value>,
    root: &str,
) -> Result<(K, Option<Fault>), Fault> {
    let mut first = None;
    for cuts in 0.. {
        let whole = Value::Object(std::mem::take(object));
        let outcome = attempt::<K>(&whole);
        if let Value::Object(whole) = whole {
            *object = whole;
        }
        let fault = match outcome {
            Ok(read) => return Ok((read, first)),
            Err(fault) => fault,
        };
        if !is_within(&fault.path, root) || !object.contains_key(root) {
            return Err(fault);
        }
        if cuts >= MAX_CUTS || !remove(object, &fault.path) {
            object.remove(root);
        }
        first.get_or_insert(fault);
    }
    Err(Fault::new("", "it cannot be read"))
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Removes the innermost list item on `path`, otherwise the field that it names.
fn remove(object: &mut Map<String, Value>, path: &str) -> bool {
    let mut steps: Vec<&str> = path.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
    let is_index = |step: &&str| step.parse::<usize>().is_ok();
    if let Some(last) = steps.iter().rposition(is_index) {
        steps.truncate(last + 1);
    }
    let Some(last) = steps.pop() else { return false };
    let Some((first, rest)) = steps.split_first() else { return false };
    let mut parent = object.get_mut(*first);
    for step in rest {
        parent = match parent {
            Some(Value::Object(fields)) => fields.get_mut(*step),
            Some(Value::Array(items)) => step.parse().ok().and_then(|at: usize| items.get_mut(at)),
            _ => None,
        };
    }
    match parent {
        Some(Value::Object(fields)) => fields.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse() {
            Ok(at) if at < items.len() => {
                items.remove(at);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// The basic metadata, without what cannot be read.
fn name_of(object: &Map<String, Value>) -> Map<String, Value> {
    const TEXTS: [&str; 5] = ["name", "namespace", "uid", "resourceVersion", "deletionTimestamp"];
    let metadata = object.get("metadata").and_then(Value::as_object);
    let texts = TEXTS.into_iter().filter_map(|field| {
        let value = metadata?.get(field).filter(|value| value.is_string())?;
        Some((field.to_owned(), value.clone()))
    });
    let generation = metadata.and_then(|metadata| metadata.get("generation")?.as_i64());
    let finalizers = metadata.and_then(|metadata| metadata.get("finalizers"));
    let finalizers =
        finalizers.filter(|value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string)));
    texts
        .chain(generation.map(|generation| ("generation".to_owned(), json!(generation))))
        .chain(finalizers.map(|finalizers| ("finalizers".to_owned(), finalizers.clone())))
        .collect()
}

impl Fault {
    fn new(path: &str, words: &str) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let bounded = |text: &str| {
            let mut bounded: String = text.chars().take(MAX_WORDS).map(printable).collect();
            if text.chars().nth(MAX_WORDS).is_some() {
                bounded.push('…');
            }
            bounded
        };
        Self { path: bounded(path), words: bounded(words) }
    }
}

const OURS: &str = "certwright.dev/";

impl Readable for Certificate {
    fn empty_spec() -> Value {
        serde_json::to_value(CertificateSpec::default()).unwrap_or_default()
    }

    fn needs_annotation(name: &str) -> bool {
        name.contains(OURS) || is_override(name)
    }

    // A solver's selector may name any of them.
    fn needs_label(_: &str) -> bool {
        true
    }
}

impl Readable for Issuer {
    fn empty_spec() -> Value {
        serde_json::to_value(IssuerSpec::default()).unwrap_or_default()
    }

    fn needs_annotation(name: &str) -> bool {
        name.contains(OURS)
    }

    // The selector of a shard may name any of them.
    fn needs_label(_: &str) -> bool {
        true
    }
}

impl Readable for ClusterIssuer {
    fn empty_spec() -> Value {
        serde_json::to_value(ClusterIssuerSpec::default()).unwrap_or_default()
    }

    fn needs_annotation(name: &str) -> bool {
        name.contains(OURS)
    }

    // The selector of a shard may name any of them.
    fn needs_label(_: &str) -> bool {
        true
    }
}

impl Readable for Secret {
    // A value of more than 64 KiB, here in base64, is not a certificate, a key or a password. It is not decoded.
    const BOUNDS: Bounds = Bounds { metadata_only: false, spec: 0, only: None, text: 88 << 10 };
}

impl Readable for EndpointSlice {}

impl<K: Resource<DynamicType = ()>> Readable for PartialObjectMeta<K> {
    const BOUNDS: Bounds = Bounds { metadata_only: true, spec: 0, only: None, text: usize::MAX };

    // A ClusterIssuer's selector may use any label of a namespace; of a Secret, only our labels matter.
    fn needs_label(name: &str) -> bool {
        K::kind(&()) != "Secret" || name.contains(OURS)
    }
}

#[cfg(test)]
mod tests;
