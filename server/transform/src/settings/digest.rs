//! What a journal must be of: everything that the bytes of an output depend on.

use sha2::{Digest, Sha256};

use super::Settings;

impl Settings {
    /// A digest of what the output's bytes depend on: the job's id, the model and how records are read, batched, processed and
    /// put together; not of how fast or how patiently. Outputs of one digest and one version of the input are the same.
    pub fn digest(&self, job_id: &str, model_digest: &str) -> String {
        let mut text = String::new();
        let mut member = |name: &str, value: &dyn std::fmt::Debug| {
            text.push_str(name);
            // The debug form of a string is quoted and escaped: no two lists of members give the same text.
            text.push_str(&format!("={value:?}\n"));
        };
        member("job", &job_id);
        member("model", &model_digest);
        member("content_type", &self.content_type);
        member("accept", &self.accept);
        member("compression", &self.compression);
        member("split_type", &self.split_type);
        member("strategy", &self.strategy);
        member("payload_limit", &self.payload_limit);
        member("assemble_with", &self.assemble_with);
        member("processing", &self.processing);
        member("error_policy", &self.error_policy);
        member("skip_blank_lines", &self.skip_blank_lines);
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AssembleWith, PayloadLimit};

    #[test]
    fn it_changes_with_the_bytes_of_the_output_alone() {
        let settings = Settings::default();
        let digest = settings.digest("job", "model");
        assert_eq!(digest.len(), 64);
        let same = Settings { concurrency: 8, retries: 0, ..settings.clone() };
        assert_eq!(same.digest("job", "model"), digest);
        for changed in [
            Settings { assemble_with: AssembleWith::Line, ..settings.clone() },
            Settings { payload_limit: PayloadLimit::Endless, ..settings.clone() },
            Settings { content_type: Some("text/csv".to_owned()), ..settings.clone() },
            Settings { accept: Some("text/csv".to_owned()), ..settings.clone() },
        ] {
            assert_ne!(changed.digest("job", "model"), digest);
        }
        assert_ne!(settings.digest("job-2", "model"), digest);
        assert_ne!(settings.digest("job", "model-2"), digest);
    }
}
