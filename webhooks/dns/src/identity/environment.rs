//! Where the platform says which identity this process has.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use secrecy::SecretString;

use crate::error::ServiceError;

/// A token or a credentials file has a tenth of that.
const MAX_FILE: u64 = 64 << 10;

/// The environment variables that the platforms set, and that the SDKs of the clouds read.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `AWS_REGION`, or `AWS_DEFAULT_REGION`
    pub aws_region: Option<String>,
    /// `AWS_ROLE_ARN` (IRSA)
    pub aws_role_arn: Option<String>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` (IRSA)
    pub aws_web_identity_token_file: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI` (EKS Pod Identity)
    pub aws_container_credentials_full_uri: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` (EKS Pod Identity)
    pub aws_container_authorization_token_file: Option<String>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`
    pub google_application_credentials: Option<String>,
    /// `AZURE_AUTHORITY_HOST`
    pub azure_authority_host: Option<String>,
    /// `AZURE_CLIENT_ID`
    pub azure_client_id: Option<String>,
    /// `AZURE_TENANT_ID`
    pub azure_tenant_id: Option<String>,
    /// `AZURE_FEDERATED_TOKEN_FILE`
    pub azure_federated_token_file: Option<String>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            aws_region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
            aws_role_arn: variable("AWS_ROLE_ARN"),
            aws_web_identity_token_file: variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            aws_container_credentials_full_uri: variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            aws_container_authorization_token_file: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            google_application_credentials: variable("GOOGLE_APPLICATION_CREDENTIALS"),
            azure_authority_host: variable("AZURE_AUTHORITY_HOST"),
            azure_client_id: variable("AZURE_CLIENT_ID"),
            azure_tenant_id: variable("AZURE_TENANT_ID"),
            azure_federated_token_file: variable("AZURE_FEDERATED_TOKEN_FILE"),
        }
    }
}

/// The content of a file that `variable` names, without white space around it. The platform replaces the file from time to time.
pub(super) fn read(variable: &str, path: impl AsRef<Path>) -> Result<SecretString, ServiceError> {
    let mut content = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut content));
    let why = match read {
        Ok(length) if length as u64 > MAX_FILE => "it is larger than 64 KiB".to_owned(),
        Ok(_) if content.trim().is_empty() => "it is empty".to_owned(),
        Ok(_) => return Ok(content.trim().into()),
        Err(error) => error.kind().to_string(),
    };
    Err(ServiceError::new(format!("reading the file in {variable} of certwright-dns failed: {why}")))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_is_read_within_bounds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let message = || read("VARIABLE", &path).unwrap_err().message;
        assert_eq!(message(), "reading the file in VARIABLE of certwright-dns failed: entity not found");
        std::fs::write(&path, " \n").unwrap();
        assert!(message().ends_with("it is empty"));
        std::fs::write(&path, "x".repeat(65 << 10)).unwrap();
        assert!(message().ends_with("it is larger than 64 KiB"));
        std::fs::write(&path, "token\n").unwrap();
        assert_eq!(read("VARIABLE", &path).unwrap().expose_secret(), "token");
    }
}
