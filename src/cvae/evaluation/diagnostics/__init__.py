"""What z does, and whether p(y|x) is right: functions of draws, each with a known null.

`pairs.py` draws from a model and keeps what the others need; `scores.py`, `calibration.py` and
`two_sample.py` are plain functions of arrays and know no model; `latent_use.py` asks the three
networks. All are seeded: the same model and data give the same numbers.
"""
