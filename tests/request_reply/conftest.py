from tests import moto_cloud
from tests.request_reply.handlers import cloud as make

cloud = moto_cloud.fixture(make)
