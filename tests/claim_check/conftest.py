from tests import moto_cloud
from tests.claim_check.handlers import cloud as make

cloud = moto_cloud.fixture(make)
