//! Schemas that the types alone cannot express: lists with their own rules, and fields that exist only to be rejected.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::bounds::{MAX_ANNOTATION, MAX_DNS_NAME, MAX_LABEL, MAX_LABELS, MAX_NAMES, MAX_SERVED_ADDRESSES};

/// Unique, valid DNS names. A wildcard must be the whole leftmost label.
pub fn dns_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_NAMES,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_DNS_NAME,
            "x-kubernetes-validations": [
                {
                    "rule": "!self.contains('*') || (self.startsWith('*.') && !self.substring(2).contains('*'))",
                    "messageExpression": "\"'\" + self + \"': a wildcard must be the whole leftmost label, as in *.example.com\"",
                    "message": "a wildcard must be the whole leftmost label, as in *.example.com"
                },
                {
                    "rule": format!("self.matches('{DNS_NAME}')"),
                    "messageExpression": "\"'\" + self + \"' is not a DNS name: labels of letters, digits and '-', at most 63 each, joined by dots; write other scripts as xn-- labels\"",
                    "message": "not a DNS name: labels of letters, digits and '-', at most 63 each, joined by dots"
                }
            ]
        }
    })
}

const DNS_NAME: &str = r"^([*][.])?([a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?[.])*[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$";

/// Unique, valid IP addresses.
pub fn ip_addresses(_: &mut SchemaGenerator) -> Schema {
    at_most_ip_addresses(MAX_NAMES)
}

/// Unique, valid IP addresses of servers.
pub fn served_addresses(_: &mut SchemaGenerator) -> Schema {
    at_most_ip_addresses(MAX_SERVED_ADDRESSES)
}

fn at_most_ip_addresses(most: usize) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": most,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "maxLength": 45,
            "x-kubernetes-validations": [{
                "rule": "isIP(self)",
                "messageExpression": "\"'\" + self + \"' is not an IP address\"",
                "message": "not an IP address"
            }]
        }
    })
}

/// Unique email addresses.
pub fn email_addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 20,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "maxLength": 254,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[^@ ,<>?:]+@[^@ ,<>?:]+$')",
                "messageExpression": "\"'\" + self + \"' is not an email address, such as you@example.com\"",
                "message": "not an email address, such as you@example.com"
            }]
        }
    })
}

/// DNS names or zones of a selector.
pub fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_NAMES,
        "items": { "type": "string", "maxLength": MAX_DNS_NAME },
    })
}

/// Labels for an object.
pub fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_LABELS,
        "additionalProperties": { "type": "string", "maxLength": MAX_LABEL },
    })
}

/// Annotations for an object.
pub fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_LABELS,
        "additionalProperties": { "type": "string", "maxLength": MAX_ANNOTATION },
    })
}

/// An object of any shape.
pub fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Anything at all.
pub fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of objects of any shape.
pub fn objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}

/// Conditions, one of each type.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let condition = generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>();
    json_schema!({
        "type": "array",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"]
    })
}

/// Removes a type's own description, so that `kubectl explain` shows the description of the field that uses it.
pub fn without_description(schema: &mut Schema) {
    schema.remove("description");
}
