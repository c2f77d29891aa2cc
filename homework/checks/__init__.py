"""How each question is asked and judged: inputs, the reference's answers, judges. Trusted side only."""
