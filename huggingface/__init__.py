"""Other people's models, of transformers and diffusers, drawn with lib/'s decoders; our own as folders of theirs."""
