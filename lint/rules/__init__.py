"""What `cfn-lint --append-rules` loads: give it the path of this folder."""
