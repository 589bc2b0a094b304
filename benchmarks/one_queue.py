"""The floor that synthesis is compared with: an app with one queue."""

from aws_cdk import App, Stack
from aws_cdk import aws_sqs as sqs

app = App()
sqs.Queue(Stack(app, "floor"), "Queue")
app.synth()
