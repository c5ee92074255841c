//! Annotations of a Certificate that change the http-01 solver of its issuer. They are those of cert-manager v1.21.
//!
//! Certificates that are created from an Ingress, a Gateway or a ListenerSet have them (`crate::annotated`); on others, users set
//! them.

use std::collections::BTreeMap;

use certwright_api::bounds::is_object_name;
use certwright_api::{
    GATEWAY_GROUP, Http01GatewayHttpRoute, Http01Ingress, OVERRIDE_INGRESS_CLASS,
    OVERRIDE_INGRESS_CLASS_NAME, OVERRIDE_INGRESS_NAME, OVERRIDE_PARENT_KIND, OVERRIDE_PARENT_NAME,
    OVERRIDE_PARENT_NAMESPACE, ParentReference, cert_manager_name,
};
use certwright_text::escaped;

/// All of them.
pub const ALL: [&str; 6] = [
    OVERRIDE_INGRESS_NAME,
    OVERRIDE_INGRESS_CLASS,
    OVERRIDE_INGRESS_CLASS_NAME,
    OVERRIDE_PARENT_KIND,
    OVERRIDE_PARENT_NAME,
    OVERRIDE_PARENT_NAMESPACE,
];
/// The maximum length of a value quoted in a message.
const MAX_SHOWN: usize = 80;
/// The maximum length of a kind, and of a namespace.
const MAX_LABEL: usize = 63;

/// Whether an annotation of a Certificate is one of these, under our name or cert-manager's.
pub fn is_override(name: &str) -> bool {
    ALL.iter().any(|ours| *ours == name || cert_manager_name(ours) == name)
}

/// What the annotations of a Certificate change about an http-01 solver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Http01Overrides {
    namespace: String,
    ingress: Option<Place>,
    parent: Option<ParentReference>,
}

/// Which Ingress leads to the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// This one, edited in place.
    Name(String),
    /// A temporary one with this value of the annotation `kubernetes.io/ingress.class`.
    Class(String),
    /// A temporary one with this class.
    ClassName(String),
}

impl Http01Overrides {
    /// The overrides in the annotations of a Certificate in this namespace.
    ///
    /// # Errors
    /// A sentence, if the annotations contradict each other or have invalid values.
    pub fn of(annotations: &BTreeMap<String, String>, namespace: &str) -> Result<Self, String> {
        Ok(Self {
            namespace: namespace.to_owned(),
            ingress: place(annotations)?,
            parent: parent(annotations, namespace)?,
        })
    }

    /// A solver that uses Ingresses, with these changes.
    pub fn on_ingress(&self, solver: Http01Ingress) -> Http01Ingress {
        let Some(place) = self.ingress.clone() else { return solver };
        let solver = Http01Ingress { ingress_class_name: None, class: None, name: None, ..solver };
        match place {
            Place::Name(name) => Http01Ingress { name: Some(name), ..solver },
            Place::Class(class) => Http01Ingress { class: Some(class), ..solver },
            Place::ClassName(class) => Http01Ingress { ingress_class_name: Some(class), ..solver },
        }
    }

    /// A solver that uses HTTPRoutes, with these changes.
    ///
    /// # Errors
    /// A sentence, if neither the solver nor an annotation names a Gateway.
    pub fn on_route(&self, mut solver: Http01GatewayHttpRoute) -> Result<Http01GatewayHttpRoute, String> {
        if let Some(parent) = &self.parent {
            // What the issuer says about the same parent is more precise: it may name a listener.
            let is_known = solver.parent_refs.iter().any(|known| self.key(known) == self.key(parent));
            solver.parent_refs.extend((!is_known).then(|| parent.clone()));
        }
        match solver.parent_refs.is_empty() {
            false => Ok(solver),
            true => Err(format!(
                "the issuer's solver has no http01.gatewayHTTPRoute.parentRefs, and the Certificate has no annotation \
                 {OVERRIDE_PARENT_NAME}; name the Gateway in one of them"
            )),
        }
    }

    /// What a reference refers to, apart from a listener and a port.
    fn key<'a>(&'a self, parent: &'a ParentReference) -> [&'a str; 4] {
        let of = |field: &'a Option<String>, default: &'a str| field.as_deref().unwrap_or(default);
        [
            of(&parent.group, GATEWAY_GROUP),
            of(&parent.kind, "Gateway"),
            of(&parent.namespace, &self.namespace),
            &parent.name,
        ]
    }
}

fn place(annotations: &BTreeMap<String, String>) -> Result<Option<Place>, String> {
    let [name, class, class_name] =
        [OVERRIDE_INGRESS_NAME, OVERRIDE_INGRESS_CLASS, OVERRIDE_INGRESS_CLASS_NAME]
            .map(|key| value(annotations, key));
    let mut set = [&name, &class, &class_name].into_iter().flatten().map(|(key, _)| key);
    if let (Some(one), Some(other)) = (set.next(), set.next()) {
        return Err(format!("the annotations {one} and {other} are mutually exclusive; remove one"));
    }
    if let Some((key, name)) = &name {
        return object_name(key, name).map(Place::Name).map(Some);
    }
    if let Some((key, class)) = &class_name {
        return object_name(key, class).map(Place::ClassName).map(Some);
    }
    let Some((key, class)) = &class else { return Ok(None) };
    let is_usable = class.len() <= 253 && !class.contains(char::is_control);
    match is_usable {
        true => Ok(Some(Place::Class((*class).to_owned()))),
        false => Err(wrong(key, class, "at most 253 bytes without control characters")),
    }
}

fn parent(annotations: &BTreeMap<String, String>, own: &str) -> Result<Option<ParentReference>, String> {
    let kind = value(annotations, OVERRIDE_PARENT_KIND);
    let (key, name) = match (value(annotations, OVERRIDE_PARENT_NAME), &kind) {
        (None, None) => return Ok(None),
        (None, Some((key, _))) => {
            return Err(format!("the annotation {key} requires {OVERRIDE_PARENT_NAME}; add it"));
        }
        (Some(name), _) => name,
    };
    let name = object_name(&key, name)?;
    let kind = kind.map(|(key, kind)| {
        let is_kind = kind.len() <= MAX_LABEL && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_kind
            .then(|| kind.to_owned())
            .ok_or_else(|| wrong(&key, kind, "a kind, such as Gateway or ListenerSet"))
    });
    let namespace = value(annotations, OVERRIDE_PARENT_NAMESPACE).map(|(key, namespace)| {
        let is_name = namespace.len() <= MAX_LABEL && is_object_name(namespace);
        is_name.then(|| namespace.to_owned()).ok_or_else(|| wrong(&key, namespace, "the name of a namespace"))
    });
    let namespace = namespace.transpose()?.filter(|namespace| namespace != own);
    Ok(Some(ParentReference { name, kind: kind.transpose()?, namespace, ..ParentReference::default() }))
}

/// The value of an annotation, and its actual name. Ours wins, and an empty value counts as none.
fn value<'a>(annotations: &'a BTreeMap<String, String>, name: &str) -> Option<(String, &'a str)> {
    let read = |key: String| {
        let value = annotations.get(&key).filter(|value| !value.is_empty())?;
        Some((key, value.as_str()))
    };
    read(name.to_owned()).or_else(|| read(cert_manager_name(name)))
}

fn object_name(key: &str, value: &str) -> Result<String, String> {
    is_object_name(value).then(|| value.to_owned()).ok_or_else(|| wrong(key, value, "the name of an object"))
}

fn wrong(key: &str, value: &str, allowed: &str) -> String {
    format!(
        "the annotation {key} is '{}', which is not valid; it must be {allowed}",
        escaped(value, MAX_SHOWN)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_of_three_annotations_says_which_ingress_leads_to_the_answer() {
        let issuers = Http01Ingress { class: Some("issuers".to_owned()), ..Http01Ingress::default() };
        let with = |annotation: &str, prefix: &str| {
            let annotations =
                BTreeMap::from([(annotation.replace("certwright.dev", prefix), "other".to_owned())]);
            let overrides = Http01Overrides::of(&annotations, "shop").unwrap();
            overrides.on_ingress(issuers.clone())
        };
        let other = || Some("other".to_owned());
        let none = Http01Ingress::default;
        for prefix in ["certwright.dev", "cert-manager.io"] {
            let name = Http01Ingress { name: other(), ..none() };
            assert_eq!(with("acme.certwright.dev/http01-override-ingress-name", prefix), name);
            let class = Http01Ingress { class: other(), ..none() };
            assert_eq!(with("acme.certwright.dev/http01-override-ingress-class", prefix), class);
            let class_name = Http01Ingress { ingress_class_name: other(), ..none() };
            assert_eq!(
                with("acme.certwright.dev/http01-override-ingress-ingressclassname", prefix),
                class_name
            );
        }
        let unchanged = issuers.clone();
        assert_eq!(with("acme.certwright.dev/http01-parentrefname", "certwright.dev"), unchanged);
        assert_eq!(with("example.com/other", "certwright.dev"), unchanged);
    }

    #[test]
    fn a_parent_is_added_unless_the_issuer_names_it() {
        let solver = |parents: serde_json::Value| -> Http01GatewayHttpRoute {
            serde_json::from_value(json!({ "parentRefs": parents })).unwrap()
        };
        let parents = |annotations: serde_json::Value, own: serde_json::Value| -> Vec<serde_json::Value> {
            let annotations = serde_json::from_value(annotations).unwrap();
            let overrides = Http01Overrides::of(&annotations, "shop").unwrap();
            let applied = overrides.on_route(solver(own)).unwrap();
            applied.parent_refs.iter().map(|parent| serde_json::to_value(parent).unwrap()).collect()
        };
        let named = json!({ OVERRIDE_PARENT_NAME: "public", OVERRIDE_PARENT_KIND: "Gateway" });
        let public = json!({ "name": "public", "kind": "Gateway" });
        assert_eq!(parents(named.clone(), json!([])), std::slice::from_ref(&public));
        let other = json!({ "name": "other" });
        assert_eq!(parents(named.clone(), json!([other])), [other.clone(), public.clone()]);
        let precise = json!({ "name": "public", "namespace": "shop", "sectionName": "http" });
        assert_eq!(parents(named.clone(), json!([precise])), [precise]);
        let elsewhere = json!({ "name": "public", "namespace": "edge" });
        assert_eq!(parents(named.clone(), json!([elsewhere])), [elsewhere.clone(), public]);
        let mut in_edge = named;
        in_edge[OVERRIDE_PARENT_NAMESPACE] = json!("edge");
        assert_eq!(parents(in_edge, json!([elsewhere])), [elsewhere]);
        let set = json!({
            "acme.cert-manager.io/http01-parentrefname": "team", "acme.cert-manager.io/http01-parentrefkind": "ListenerSet",
        });
        assert_eq!(parents(set, json!([])), [json!({ "name": "team", "kind": "ListenerSet" })]);
        let none = Http01Overrides::default().on_route(solver(json!([])));
        assert_eq!(
            none.unwrap_err(),
            "the issuer's solver has no http01.gatewayHTTPRoute.parentRefs, and the Certificate has no annotation \
             acme.certwright.dev/http01-parentrefname; name the Gateway in one of them"
        );
    }

    #[test]
    fn annotations_that_cannot_be_used_are_told() {
        let why = |annotations: serde_json::Value| {
            Http01Overrides::of(&serde_json::from_value(annotations).unwrap(), "shop").unwrap_err()
        };
        assert_eq!(
            why(
                json!({ OVERRIDE_INGRESS_NAME: "a", "acme.cert-manager.io/http01-override-ingress-class": "b" })
            ),
            "the annotations acme.certwright.dev/http01-override-ingress-name and \
             acme.cert-manager.io/http01-override-ingress-class are mutually exclusive; remove one"
        );
        assert_eq!(
            why(json!({ OVERRIDE_INGRESS_NAME: "victim/status" })),
            "the annotation acme.certwright.dev/http01-override-ingress-name is 'victim/status', which is not valid; it must \
             be the name of an object"
        );
        assert!(why(json!({ OVERRIDE_INGRESS_CLASS_NAME: "A" })).ends_with("must be the name of an object"));
        assert!(why(json!({ OVERRIDE_INGRESS_CLASS: "a\nb" })).ends_with("without control characters"));
        assert!(why(json!({ OVERRIDE_INGRESS_CLASS: "a".repeat(254) })).contains("at most 253 bytes"));
        assert_eq!(
            why(json!({ OVERRIDE_PARENT_KIND: "Gateway" })),
            "the annotation acme.certwright.dev/http01-parentrefkind requires acme.certwright.dev/http01-parentrefname; add it"
        );
        assert!(
            why(json!({ OVERRIDE_PARENT_NAME: "a", OVERRIDE_PARENT_KIND: "a/b" })).contains("must be a kind")
        );
        let namespace = json!({ OVERRIDE_PARENT_NAME: "a", OVERRIDE_PARENT_NAMESPACE: "a".repeat(64) });
        assert!(why(namespace).ends_with("must be the name of a namespace"));
        let empty = json!({ OVERRIDE_INGRESS_NAME: "", OVERRIDE_INGRESS_CLASS: "b" });
        assert!(Http01Overrides::of(&serde_json::from_value(empty).unwrap(), "shop").is_ok());
    }
}
