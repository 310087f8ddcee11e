import pytest
import ray


@pytest.fixture(scope="package")
def ray_here():
    """One instance of Ray for these files."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
