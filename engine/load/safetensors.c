/* engine/load/safetensors.c */
