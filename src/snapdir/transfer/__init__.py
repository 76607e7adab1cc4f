"""The verbs: sentences over repositories, in stages with bounded memory."""
