//! The documents of Route 53's API.

use quick_xml::SeError;
use serde::{Deserialize, Serialize};

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// `ListHostedZonesByNameResponse`.
#[derive(Deserialize)]
pub(super) struct HostedZones {
    #[serde(rename = "HostedZones", deserialize_with = "hosted_zones")]
    pub zones: Vec<HostedZone>,
}

/// A hosted zone.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostedZone {
    pub id: String,
    name: String,
    config: Option<HostedZoneConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostedZoneConfig {
    #[serde(default)]
    private_zone: bool,
}

/// `ListResourceRecordSetsResponse`.
#[derive(Deserialize)]
pub(super) struct RecordSets {
    #[serde(rename = "ResourceRecordSets", deserialize_with = "record_sets")]
    pub sets: Vec<RecordSet>,
}

/// A record set. One for part of the requests only, which has an identifier, is not read.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RecordSet {
    name: String,
    r#type: String,
    #[serde(skip_serializing)]
    set_identifier: Option<String>,
    #[serde(rename = "TTL", default)]
    ttl: u32,
    #[serde(default)]
    resource_records: ResourceRecords,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct ResourceRecords {
    #[serde(rename = "ResourceRecord", default)]
    records: Vec<ResourceRecord>,
}

#[derive(Clone, Deserialize, Serialize)]
struct ResourceRecord {
    #[serde(rename = "Value")]
    value: String,
}

impl HostedZone {
    /// Whether it has this name and is private, or public.
    pub fn is(&self, name: &str, private: bool) -> bool {
        let is_private = self.config.as_ref().is_some_and(|config| config.private_zone);
        self.name.strip_suffix('.').unwrap_or(&self.name).eq_ignore_ascii_case(name) && is_private == private
    }
}

impl RecordSet {
    /// One without values.
    pub fn empty(name: &str, ttl: u32) -> Self {
        let resource_records = ResourceRecords::default();
        Self {
            name: format!("{name}."),
            r#type: "TXT".to_owned(),
            set_identifier: None,
            ttl,
            resource_records,
        }
    }

    /// Whether it is the TXT record set of this name.
    pub fn is_of(&self, name: &str) -> bool {
        let own = self.name.strip_suffix('.').unwrap_or(&self.name);
        self.r#type == "TXT" && self.set_identifier.is_none() && own.eq_ignore_ascii_case(name)
    }

    /// The values, in the form of zone files.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.resource_records.records.iter().map(|record| record.value.as_str())
    }

    /// Adds a value in that form.
    pub fn add(&mut self, value: String) {
        self.resource_records.records.push(ResourceRecord { value });
    }

    /// The same set without some values.
    pub fn without(&self, unwanted: impl Fn(&str) -> bool) -> Self {
        let mut set = self.clone();
        set.resource_records.records.retain(|record| !unwanted(&record.value));
        set
    }
}

/// A request to change a record set.
pub(super) fn change(action: &str, set: &RecordSet) -> Result<String, SeError> {
    #[derive(Serialize)]
    #[serde(rename = "ChangeResourceRecordSetsRequest", rename_all = "PascalCase")]
    struct Request<'a> {
        #[serde(rename = "@xmlns")]
        namespace: &'a str,
        change_batch: ChangeBatch<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct ChangeBatch<'a> {
        changes: Changes<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Changes<'a> {
        change: Change<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Change<'a> {
        action: &'a str,
        resource_record_set: &'a RecordSet,
    }
    let change = Change { action, resource_record_set: set };
    let change_batch = ChangeBatch { changes: Changes { change } };
    quick_xml::se::to_string(&Request { namespace: NAMESPACE, change_batch })
}

fn hosted_zones<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<HostedZone>, D::Error> {
    #[derive(Deserialize)]
    struct List {
        #[serde(rename = "HostedZone", default)]
        zones: Vec<HostedZone>,
    }
    Ok(List::deserialize(deserializer)?.zones)
}

fn record_sets<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<RecordSet>, D::Error> {
    #[derive(Deserialize)]
    struct List {
        #[serde(rename = "ResourceRecordSet", default)]
        sets: Vec<RecordSet>,
    }
    Ok(List::deserialize(deserializer)?.sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_set_is_read_and_written_back_with_its_time_to_live() {
        let read = "<ListResourceRecordSetsResponse><ResourceRecordSets><ResourceRecordSet><Name>a.example.</Name><Type>TXT</Type>\
                    <TTL>300</TTL><ResourceRecords><ResourceRecord><Value>\"one\"</Value></ResourceRecord><ResourceRecord><Value>\
                    \"two\"</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></ResourceRecordSets><IsTruncated>false\
                    </IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>";
        let RecordSets { mut sets } = quick_xml::de::from_str(read).unwrap();
        let set = sets.pop().unwrap();
        assert!(set.is_of("A.example") && !set.is_of("b.a.example"));
        let mut set = set.without(|value| value == "\"two\"");
        set.add("\"<&\\\"\"".to_owned());
        assert_eq!(
            change("UPSERT", &set).unwrap(),
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes><Change>\
             <Action>UPSERT</Action><ResourceRecordSet><Name>a.example.</Name><Type>TXT</Type><TTL>300</TTL><ResourceRecords>\
             <ResourceRecord><Value>\"one\"</Value></ResourceRecord><ResourceRecord><Value>\"&lt;&amp;\\\"\"</Value></ResourceRecord>\
             </ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
    }

    #[test]
    fn record_sets_with_an_identifier_and_empty_lists_are_none() {
        let weighted = "<R><ResourceRecordSets><ResourceRecordSet><Name>a.example.</Name><Type>TXT</Type><SetIdentifier>x\
                        </SetIdentifier><Weight>1</Weight><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>\"one\"</Value>\
                        </ResourceRecord></ResourceRecords></ResourceRecordSet></ResourceRecordSets></R>";
        let RecordSets { sets } = quick_xml::de::from_str(weighted).unwrap();
        assert!(!sets[0].is_of("a.example"));
        for empty in ["<R><ResourceRecordSets/></R>", "<R><ResourceRecordSets></ResourceRecordSets></R>"] {
            let RecordSets { sets } = quick_xml::de::from_str(empty).unwrap();
            assert!(sets.is_empty());
        }
        let HostedZones { zones } =
            quick_xml::de::from_str("<R><HostedZones/><MaxItems>1</MaxItems></R>").unwrap();
        assert!(zones.is_empty());
    }
}
