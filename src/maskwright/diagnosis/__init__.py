"""Why a model is right or wrong: measures of its errors, its inputs and its reasons. Knows no run folder."""
