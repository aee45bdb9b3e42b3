"""Setting cronwrap up and looking it over: what ``init``, ``doctor`` and ``config import`` compute."""
