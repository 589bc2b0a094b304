"""A cfn-lint rule pack against lost events, for any CloudFormation template."""
