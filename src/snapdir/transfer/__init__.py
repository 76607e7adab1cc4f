"""The verbs, as pipelines of stages over repositories, with bounded memory."""
