"""The vocabulary of dataflows: one class per component id; ``file.format.dsv`` lives in ``components/file/dsv.py``."""
