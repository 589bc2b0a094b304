from tests import moto_cloud, queues_in_memory
from tests.request_reply.handlers import cloud as make

cloud = moto_cloud.fixture(make)
queues = queues_in_memory.fixture()
