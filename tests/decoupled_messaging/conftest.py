from tests import moto_cloud

from . import handlers

cloud = moto_cloud.fixture(handlers.cloud)
