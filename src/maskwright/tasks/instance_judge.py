"""temporary"""

from __future__ import annotations

import numpy as np

from maskwright.ops.instance_maps import to_map


def counts(truth, found, ths):
    a, b = to_map(truth), to_map(found)
    n, m = len(truth), len(found)
    if not n or not m:
        return [(0, m, n)] * len(ths)
    inter = np.bincount((a.astype(np.int64) * (m + 1) + b).ravel(), minlength=(n + 1) * (m + 1)).reshape(n + 1, m + 1)
    iou = inter[1:, 1:] / np.maximum(inter.sum(1)[1:, None] + inter.sum(0)[None, 1:] - inter[1:, 1:], 1)
    out = []
    for t in ths:
        tp = int((iou > t).any(1).sum())
        out.append((tp, m - tp, n - tp))
    return out


class InstanceJudge:
    def __init__(self, decode):
        self.decode = decode
        self.rows = []

    def update(self, id, blocks, target, group=None):
        found = self.decode(blocks, target.size)
        self.rows.append(counts(target.instances, found, np.arange(0.5, 0.95, 0.1)))

    def score(self):
        s = np.array(self.rows).sum(0)[0]
        return float(2 * s[0] / max(2 * s[0] + s[1] + s[2], 1))

    def all(self):
        s = np.array(self.rows).sum(0)
        return (2 * s[:, 0] / (2 * s[:, 0] + s[:, 1] + s[:, 2])).round(3), (s[:, 0] / s.sum(1)).round(3)
