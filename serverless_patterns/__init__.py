"""Event-driven serverless patterns for the AWS CDK in Python, each proven by running it.

In the repository the sub-packages are links to the folders at its top level, so that one import
name is right there and in the wheel.
"""
