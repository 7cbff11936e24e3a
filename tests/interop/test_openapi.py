"""The description of the server API holds: requests made of it, right ones and wrong ones, are answered as it says."""

import subprocess
import sys

# What is wrong with a request is told with HTTP 200, as Centrifugo does, so that one check cannot be: that it is refused by status.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"


def test_the_server_api_answers_as_its_description_says(hub, tmp_path):
    command = [
        sys.executable, "-B", "-m", "schemathesis.cli", "run", hub.http("/api/openapi.json"),
        "--header", "X-API-Key: letmein", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
        # Lines of JSON are a medium that it cannot make.
        "--exclude-operation-id", "publish_stream", "--max-examples", "20", "--seed", "6", "--warnings", "off", "--no-color",
    ]
    # What it remembers of a run goes into its folder.
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
