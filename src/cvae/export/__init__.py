"""A model for other programs: as functions, in JavaScript, on a page, in ONNX."""
