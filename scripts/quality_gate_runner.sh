#!/bin/sh
# Check a task's deliverables, write the report into reports/quality_gates and a line into logs/quality_gate.log.
# Usage: scripts/quality_gate_runner.sh --task-spec FILE [--agent-id ID] [--report-dir DIR] [--no-block]
# Exit status: that of quality_gate.py.
cd "$(dirname "$0")/.." || exit 2
mkdir -p logs
"${PYTHON:-python3}" scripts/quality_gate.py --report-dir reports/quality_gates "$@"
code=$?
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) exit_code=$code $*" >> logs/quality_gate.log
exit $code
